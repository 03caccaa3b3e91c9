"""Jira: issues, internal comments and transitions."""
