"""`countersign doctor`: tries every configured connection and says what is missing."""

from __future__ import annotations

from typing import Annotated

import typer

from countersign.ports import Check
from workers.console import AsJson, Config, new_app, show_json, show_table
from workers.settings import load_settings

app = new_app("Try every configured connection and say what is missing.")


@app.command()
def doctor(
    config: Config = None,
    models: Annotated[
        bool, typer.Option("--models", help="Ask each language model one question too; that costs money.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Ends with 1 if something does not work; it changes nothing anywhere."""
    settings = load_settings(config)

    from workers.wiring import examine

    checks = examine(settings, models=models)
    if as_json:
        show_json(checks)
    else:
        show_table(
            ("", "what", "how it is"),
            ((_mark(check), check.what, check.detail) for check in checks),
            empty="Nothing is configured; write a countersign.yaml.",
        )
    if not all(check.ok for check in checks):
        raise typer.Exit(1)


def _mark(check: Check) -> str:
    return "NO" if not check.ok else "!" if check.warns else "ok"
