"""`countersign evals`: how often a model is right on labelled texts, and how well it knows that."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workers.console import AsJson, Config, new_app, show_json
from workers.settings import load_settings

app = new_app("Score a model and a prompt on labelled texts.")


@app.command()
def evals(
    data: Annotated[Path, typer.Option(help="Folder of labelled sets.", exists=True, file_okay=False)],
    config: Config = None,
    model: Annotated[str, typer.Option(help="provider/name; the embedded model if left out.")] = "local",
    prompt: Annotated[str, typer.Option(help="Question and version, as triage/v1.")] = "triage/v1",
    most: Annotated[int, typer.Option(min=1, help="Rows of a set to ask a language model about.")] = 200,
    as_json: AsJson = False,
) -> None:
    """Learn from three parts, ask about the fourth; parts are by the hash of the digit-normalised text.

    The embedded model learns from the first three parts; a language model learns nothing and costs money.
    """
    from countersign.evals import evaluate, table
    from workers.wiring import maker_of, rows_of

    maker, bound = maker_of(load_settings(config), model, prompt), None if model == "local" else most
    scores = {name: evaluate(maker, rows, most=bound) for name, rows in rows_of(data).items()}
    if as_json:
        show_json(scores)
    else:
        typer.echo(f"{model}, {prompt if model != 'local' else 'taught from the other parts'}")
        typer.echo(table(scores))
