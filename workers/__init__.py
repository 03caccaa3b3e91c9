"""The work: the Celery app, its stages and schedule, the one wiring, and the command line."""
