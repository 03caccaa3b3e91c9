"""The console: a table fits the terminal, and what people copy from it stays in one piece."""

from __future__ import annotations

import pytest

from workers.console import show_table

ID, TITLE = "c1m7yqmr2cj2fv", "Suspicious mail to many staff of the branch"


def test_a_narrow_table_breaks_words_and_no_ids(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On forty columns an id is whole in its line, and a title goes over several."""
    monkeypatch.setenv("COLUMNS", "40")
    show_table(("case", "ticket", "what"), [(ID, "INC0010019", TITLE)], empty="nothing")
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith(f"{ID}  INC0010019  ")
    assert len(lines) > 3
    assert max(map(len, lines)) <= 40
    assert " ".join(line[28:].strip() for line in lines[1:]) == TITLE


def test_a_long_word_is_broken_where_it_must(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source's own name for an alert may be longer than the terminal is wide: nothing of it is cut off."""
    monkeypatch.setenv("COLUMNS", "30")
    name = "splunk:scheduler__admin__noc__raw_95"
    show_table(("id", "what"), [(ID, name)], empty="nothing")
    lines = capsys.readouterr().out.splitlines()
    assert "".join(line[16:].strip() for line in lines[1:]) == name


def test_a_row_for_another_program_is_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that `grep` finds the whole of it."""
    monkeypatch.delenv("COLUMNS", raising=False)
    show_table(("case", "what"), [(ID, 2 * f"{TITLE} ")], empty="nothing")
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_an_empty_table_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """Column names above nothing would look like a fault."""
    show_table(("case",), [], empty="There is no case.")
    assert capsys.readouterr().out == "There is no case.\n"
