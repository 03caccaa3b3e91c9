"""The core: pure functions over frozen values. No socket, no clock of its own, no Celery, no SQL."""

__version__ = "0.1.0"
