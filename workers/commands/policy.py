"""`countersign policy`: check a policy file, tell it in words, compare two."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from countersign.errors import ConfigError
from countersign.policy import Policy, PolicyError, describe, diff, load_policy
from workers.console import new_app

app = new_app("Check a policy file, tell it in words, compare two.")
File = Annotated[Path, typer.Argument(metavar="FILE", help="Policy file, as policies/alert-triage.yaml.")]
Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Policy files.")]


@app.callback()
def policy() -> None:
    """The written boundary of a use case."""


@app.command()
def check(files: Files) -> None:
    """Say what is wrong with policy files, by line, or that nothing is."""
    wrong = 0
    for file in files:
        try:
            loaded = read(file)
        except PolicyError as problem:
            wrong += 1
            typer.echo(str(problem), err=True)
        else:
            typer.echo(f"{file}: {loaded.use_case} v{loaded.version} ({loaded.fingerprint}) is in order.")
    if wrong:
        raise typer.Exit(1)


@app.command()
def tell(file: File) -> None:
    """Tell a policy in plain words."""
    typer.echo("\n".join(describe(read(file))))


@app.command("diff")
def diff_(old: File, new: File) -> None:
    """Tell in words what a new version of a policy changes, and whether it narrows or widens."""
    typer.echo("\n".join(diff(read(old), read(new))) or "They allow the same.")


def read(file: Path) -> Policy:
    """Raises ConfigError for a file that can't be opened, PolicyError for one that can't be used."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigError(
            f"{file} can't be read ({type(problem).__name__}); name a policy file in UTF-8."
        ) from None
    return load_policy(text, name=str(file))
