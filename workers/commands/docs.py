"""`countersign docs`: writes the generated pages, or checks that they are up to date."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from countersign.errors import ConfigError
from countersign.policy.reference import json_schema_text, reference_markdown
from workers.console import new_app
from workers.reference import commands_markdown, settings_markdown

app = new_app("Write the generated pages, or check that they are up to date.")

PAGES: dict[str, Callable[[], str]] = {
    "docs/policy-reference.md": reference_markdown,
    "docs/commands.md": commands_markdown,
    "docs/settings.md": settings_markdown,
    "policies/policy.schema.json": json_schema_text,
}


@app.command()
def docs(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if a page is out of date.")
    ] = False,
    root: Annotated[Path, typer.Option(help="Folder of the project.")] = Path(),
) -> None:
    """Generate the policy reference, its JSON Schema, the commands and the settings."""
    if not (root / "pyproject.toml").is_file():
        raise ConfigError(f"{root.absolute()} is not the folder of the project; name it with --root.")
    stale = [page for page, make in PAGES.items() if _text(root / page) != make()]
    if check and stale:
        raise ConfigError(f"Out of date: {', '.join(stale)}; write them with countersign docs.")
    for page in stale:
        (root / page).write_text(PAGES[page](), encoding="utf-8")
        typer.echo(f"wrote {page}")


def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8") if page.is_file() else ""
