"""`countersign beat`: the scheduler. Running two is harmless: reading is leased, and schedules fire once."""

from __future__ import annotations

import structlog

from workers import logs
from workers.console import Config, new_app
from workers.settings import load_settings
from workers.supervisor import die_with_parent

_log = structlog.get_logger()
app = new_app("Run the scheduler alone, for containers.")


@app.command()
def beat(config: Config = None) -> None:
    """Send the wake-ups for pulling, watching and sweeping until told to stop."""
    die_with_parent()
    settings = load_settings(config)
    logs.set_up(settings.log_level)

    from workers.wiring import celery_app, reports_for_nobody

    for why in reports_for_nobody(settings):
        _log.warning("report.unmailed", why=why)
    celery_app(settings).Beat(
        scheduler="workers.heart:BeatingScheduler", max_interval=1, loglevel="WARNING", quiet=True
    ).run()
