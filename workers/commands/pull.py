"""`countersign pull`: reads the sources once, in this process, for trying a connection out."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from countersign.errors import ConfigError
from workers import logs
from workers.console import Config, new_app
from workers.settings import load_settings

app = new_app("Read the sources once, now.")


@app.command()
def pull(
    config: Config = None,
    source: Annotated[str, typer.Option(help="Only this source; all of the policies' if left out.")] = "",
) -> None:
    """Record what is new in the ledger. Assessing and acting are left to the workers."""
    settings = load_settings(config)
    logs.set_up(settings.log_level)

    from workers.pull import pull as read
    from workers.wiring import migrate, open_parts

    migrate(settings)
    with closing(open_parts(settings)) as parts:
        feeds = [source] if source else sorted(parts.sources)
        for feed in feeds:
            if feed not in parts.sources:
                known = ", ".join(sorted(parts.sources)) or "none is configured"
                raise ConfigError(f"There is no source {feed}; the configured ones: {known}.")
            before = parts.ledger.reading.tally()
            due = sum(len(wake.ids) for wake in read(parts, feed))
            after = parts.ledger.reading.tally()
            typer.echo(
                f"{feed}: {after.alerts - before.alerts} new alerts, "
                f"{after.dead_letters - before.dead_letters} unreadable, {due} cases due"
            )
