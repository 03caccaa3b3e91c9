"""Splunk: fired alerts and searches."""
