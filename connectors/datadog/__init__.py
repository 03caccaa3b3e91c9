"""Datadog: events of its monitors as alerts, the state of its monitors, and its logs."""
