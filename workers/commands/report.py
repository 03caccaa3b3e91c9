"""`countersign report`: what the use cases were worth so far, as figures with n, interval and definition."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from countersign.errors import ConfigError
from workers.console import Config, as_plain, new_app
from workers.settings import load_settings

app = new_app("Compute the figures of the use cases from the ledger.")


@app.command()
def report(
    config: Config = None,
    use_case: Annotated[str, typer.Option(help="Only this use case; all of them if left out.")] = "",
    since: Annotated[str, typer.Option(help="How far back, as 30d.")] = "90d",
    out: Annotated[Path, typer.Option(help="Folder for kpis.md and kpis.json.")] = Path("var"),
) -> None:
    """Write the figures as text and JSON; say where."""
    from countersign.kpis.summary import summary_text
    from workers.figures import figures_of, length
    from workers.files import read_policies
    from workers.wiring import now, open_ledger

    settings = load_settings(config)
    policies = read_policies(settings)
    chosen = [policy for policy in policies.values() if use_case in ("", policy.use_case)]
    if not chosen:
        raise ConfigError(f"There is no use case {use_case}; the policies name {', '.join(policies)}.")
    ledger, until = open_ledger(settings), now()
    start = until - length(since)
    figures = {
        policy.use_case: figures_of(policy, ledger.histories(policy.use_case, since=start), until=until)
        for policy in chosen
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "kpis.json").write_text(json.dumps(as_plain(figures), indent=2) + "\n", encoding="utf-8")
    (out / "kpis.md").write_text(summary_text(figures, until=until), encoding="utf-8")
    typer.echo(out / "kpis.md")
