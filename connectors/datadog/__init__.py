"""Datadog: events and monitors as alerts."""
