"""The documents: what they link to exists, and the settings that they name are settings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from workers.main import COMMANDS
from workers.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md") if (ROOT / name).exists()),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "deploy").glob("*.md")),
]
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_SETTING = re.compile(r"\bCOUNTERSIGN_([A-Z]+)__([A-Z_]+)\b")
_COMMAND = re.compile(r"`countersign ([a-z][a-z-]*)")
pages = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])


def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def _slug(heading: str) -> str:
    """The anchor that a heading gets where Markdown is shown."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def _anchors(page: Path) -> set[str]:
    return {_slug(heading) for heading in re.findall(r"^#+ (.*)$", _text(page), re.MULTILINE)}


def _links(page: Path) -> list[str]:
    found = _LINK.findall(_CODE.sub("", _text(page)))
    return [link for link in found if "://" not in link and not link.startswith("mailto:")]


@pages
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    """The file or folder exists inside the project, and so does the heading behind a #."""
    for link in _links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in _anchors(target), link


@pages
def test_every_variable_that_is_named_is_a_setting(page: Path) -> None:
    """COUNTERSIGN_SECTION__KEY with a section and a key that the settings have."""
    for section, key in _SETTING.findall(_text(page)):
        fields = _section(section.lower()).model_fields
        assert key.lower() in fields, f"COUNTERSIGN_{section}__{key}"


@pages
def test_every_command_that_is_named_exists(page: Path) -> None:
    """`countersign something` is one of its commands."""
    assert set(_COMMAND.findall(_text(page))) <= set(COMMANDS)


def test_messages_of_the_connectors_name_settings_that_exist() -> None:
    """A sentence that says which variable to set must not send anybody to one that is not read."""
    named = {
        pair
        for file in sorted((ROOT / "connectors").rglob("*.py"))
        for pair in re.findall(r"\bCOUNTERSIGN_([A-Z_]+)\b", _text(file))
    }
    assert named
    for name in named:
        section, _, key = name.lower().partition("__")
        assert key in _section(section).model_fields, f"COUNTERSIGN_{name}"


def _section(name: str) -> type[BaseModel]:
    """The model of one section of the settings."""
    (model,) = (
        each
        for each in _members(Settings.model_fields[name].annotation)
        if isinstance(each, type) and issubclass(each, BaseModel)
    )
    return model


def _members(annotation: object) -> tuple[object, ...]:
    """The members of `X | None`; X itself stands alone."""
    return getattr(annotation, "__args__", (annotation,))
