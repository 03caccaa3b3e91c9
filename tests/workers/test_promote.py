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


def test_what_acts_has_no_further_step(
    home: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refused in a sentence; the file stays as it was."""
    file = tmp_path / "p.yaml"
    file.write_text(shipped(), encoding="utf-8")
    _promote(home, file, "1")
    assert "acts already" in capsys.readouterr().err
    assert file.read_text(encoding="utf-8") == shipped()


@pytest.mark.parametrize(
    ("plain", "odd"), [("version: 1\n", "version : 1\n"), ("autonomy: observe", '"autonomy": observe')]
)
def test_a_file_whose_keys_are_written_otherwise_stays_as_it_was(
    home: House, tmp_path: Path, capsys: pytest.CaptureFixture[str], plain: str, odd: str
) -> None:
    """Valid YAML that can't be edited line by line: what to write is told, and no half of it is done."""
    file = tmp_path / "p.yaml"
    text = shipped().replace("autonomy: act", "autonomy: observe").replace(plain, odd)
    file.write_text(text, encoding="utf-8")
    _promote(home, file, "1")
    assert "write version: 2 and autonomy: draft into it yourself" in capsys.readouterr().err
    assert file.read_text(encoding="utf-8") == text


def test_the_ends_of_lines_stay_as_they_were(home: House, tmp_path: Path) -> None:
    """A file of an editor on Windows changes in two lines, not in all."""
    file = tmp_path / "p.yaml"
    text = shipped().replace("autonomy: act", "autonomy: observe").replace("\n", "\r\n")
    file.write_bytes(text.encode())
    _promote(home, file, "0")
    after = file.read_bytes().decode()
    assert after.count("\r\n") == after.count("\n") == text.count("\n")
