"""`countersign alive`: the probe of a container, which asks the heartbeats of the roles that run in it."""

from __future__ import annotations

from datetime import UTC, datetime

import typer

from workers.console import new_app
from workers.heartbeat import heartbeats

app = new_app("Say whether the roles that run here take work, for a container's probe.")


@app.command()
def alive() -> None:
    """Ends with 1 while a role has neither taken work lately nor had room for it, or none has started."""
    now, known = datetime.now(UTC), heartbeats()
    late = {role: until for role, until in known.items() if until < now}
    for role, until in late.items():
        typer.echo(
            f"{role} has taken no work since {until:%Y-%m-%d %H:%M:%S} UTC; look at its log.", err=True
        )
    if not known:
        typer.echo("No role has started here yet.", err=True)
    if late or not known:
        raise typer.Exit(1)
    typer.echo(f"alive: {', '.join(known)}")
