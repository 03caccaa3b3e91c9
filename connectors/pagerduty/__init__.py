"""PagerDuty: incidents and log entries as alerts; notes, acknowledgement and resolution as actions."""
