"""`policy promote`: one step at a time, refused with every reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workers.house import House, shipped
from workers.main import main


def _promote(home: House, file: Path, code: str) -> None:
    with pytest.raises(SystemExit, match=code):
        main(["policy", "promote", str(file), "--config", str(home.config)])


def test_a_draft_without_certificate_is_not_let_act(
    home: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refused with the reasons, and the file stays as it was."""
    file = tmp_path / "p.yaml"
    text = shipped()
    text = text.replace("autonomy: act", "autonomy: draft").replace("governance: risk@example.com", "")
    file.write_text(text, encoding="utf-8")
    _promote(home, file, "1")
    told = capsys.readouterr().err
    assert "alert-triage from draft to act is refused:" in told
    assert "Nobody answers for it as governance" in told
    assert "closes by the model's own confidence" in told
    assert file.read_text(encoding="utf-8") == text


def test_what_observes_may_draft_when_the_questions_are_answered(
    home: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Observe to draft: the file has the next version, and people are told what to do with it."""
    file = tmp_path / "p.yaml"
    text = shipped()
    file.write_text(text.replace("autonomy: act", "autonomy: observe"), encoding="utf-8")
    _promote(home, file, "0")
    assert "autonomy: draft" in file.read_text(encoding="utf-8")
    assert "version: 2" in file.read_text(encoding="utf-8")
    assert "have it signed" in capsys.readouterr().out
