"""`countersign audit`: whether the log is whole, checkpoints to keep elsewhere, and the log as lines of JSON."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from countersign.errors import ConfigError
from workers.console import AsJson, Config, new_app, show_json
from workers.settings import load_settings

app = new_app("Verify the audit log, sign checkpoints of it, export it.")
PublicKey = Annotated[
    Path | None,
    typer.Option("--public-key", help="The key that checkpoints are signed with.", show_default=False),
]


@app.callback()
def audit() -> None:
    """The log is chained by hashes; a checkpoint that is kept elsewhere also shows a cut or a new chain."""


@app.command()
def verify(
    config: Config = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="A checkpoint from elsewhere.", show_default=False)
    ] = None,
    public_key: PublicKey = None,
    as_json: AsJson = False,
) -> None:
    """Follow the whole chain; ends with 1 and the first place where it does not hold."""
    from countersign.checkpoints import load
    from workers.wiring import open_ledger

    signed = load(_read(checkpoint).decode(errors="replace")) if checkpoint else None
    expected = _read(public_key) if public_key else None
    with closing(open_ledger(load_settings(config))) as ledger:
        found = ledger.trail.verify(signed, public_key=expected)
    if as_json:
        show_json(found)
    else:
        typer.echo(f"{found.records} records hold." if found.problem is None else found.problem.sentence)
        if found.problem is None and signed is None:
            typer.echo("Without --checkpoint, a cut-off end or a chain computed anew would look the same.")
    if found.problem is not None:
        raise typer.Exit(1)


@app.command()
def checkpoint(
    key: Annotated[Path, typer.Option(help="The private key, as `audit key` made it.")],
    out: Annotated[
        Path, typer.Option(help="Where to write it: a place that this ledger's owner can't change.")
    ],
    config: Config = None,
) -> None:
    """Sign where the log stands now, after having verified it."""
    from countersign.checkpoints import dump, sign
    from workers.wiring import open_ledger

    with closing(open_ledger(load_settings(config))) as ledger:
        found = ledger.trail.verify()
        _, _, at = ledger.trail.head()
    if found.problem is not None:
        raise ConfigError(f"The log does not hold, so nothing is signed: {found.problem.sentence}")
    signed = sign(found.records, found.last_hash, at, _read(key))
    _write(out, dump(signed).encode(), 0o644)
    typer.echo(f"record {signed.seq} is signed for in {out}")


@app.command()
def key(
    out: Annotated[
        Path, typer.Argument(metavar="FILE", help="Where to write it; FILE.pub is for verifying.")
    ],
) -> None:
    """Make an Ed25519 key for checkpoints; keep it away from the ledger."""
    from countersign.checkpoints import new_key

    if out.exists():
        raise ConfigError(f"{out} exists already; name another file.")
    private, public = new_key()
    _write(out, private, 0o600)
    _write(out.with_name(f"{out.name}.pub"), public, 0o644)
    typer.echo(f"wrote {out} and {out.name}.pub")


@app.command()
def export(
    config: Config = None,
    after: Annotated[int, typer.Option(min=0, help="Only what follows this record.")] = 0,
) -> None:
    """Print the log as lines of JSON, in order."""
    from workers.wiring import open_ledger

    with closing(open_ledger(load_settings(config))) as ledger:
        for line in ledger.trail.export(after=after):
            typer.echo(line)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} can't be read ({error.strerror}); name another file.") from error


def _write(path: Path, content: bytes, mode: int) -> None:
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            file.write(content)
    except OSError as error:
        raise ConfigError(f"{path} can't be written ({error.strerror}); name another file.") from error
