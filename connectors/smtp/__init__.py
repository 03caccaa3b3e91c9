"""Mail: sent through the SMTP server that the settings name."""
