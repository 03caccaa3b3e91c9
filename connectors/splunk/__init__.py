"""Splunk: what its saved searches fired, as alerts, and its logs."""
