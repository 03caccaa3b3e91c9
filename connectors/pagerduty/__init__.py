"""PagerDuty: log entries as alerts, incidents as tickets, and notes on them."""
