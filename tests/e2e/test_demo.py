"""The demo: what a newcomer sees first, run as they would run it."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress

from sandbox.demo import Night, _decided

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
LINE = re.compile(
    r"^demo: alerts=(\d+) cases=(\d+) noted=(\d+) closed=(\d+) changes=(\d+) routed=(\d+) held=(\d+) "
    r"lost=(\d+) doubled=(\d+) model=(\S+)$",
    re.MULTILINE,
)


def _demo(folder: Path, *arguments: str) -> tuple[str, dict[str, object]]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERSIGN_")}
    done = subprocess.run(
        [sys.executable, "-m", "sandbox.demo", "--longest", "150", *arguments],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        cwd=folder,
        env=clean,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    summary = json.loads((folder / "var/demo/summary.json").read_text(encoding="utf-8"))
    return done.stdout, summary


@pytest.mark.timeout(300)
def test_the_demo_works_through_a_night_and_loses_nothing(tmp_path: Path) -> None:
    """Through Celery, a real Redis server and the SDKs over HTTP: all decided, nothing lost, nothing doubled."""
    told, summary = _demo(tmp_path)
    found = LINE.search(told)
    assert found is not None
    alerts, cases, noted, closed, changes, routed, held, lost, doubled = map(int, found.groups()[:9])
    assert (lost, doubled, found[10]) == (0, 0, "local")
    assert noted + closed + changes + routed + held == cases == summary["cases"]
    assert alerts == summary["alerts"] == 646
    # Closes and changes are few, and the control lane draws some of them.
    assert min(noted, closed + changes, held) > 0
    assert told.count("before: ") == 3
    assert (tmp_path / "var/demo/kpis.md").is_file()


@pytest.mark.timeout(300)
def test_five_hundred_real_tickets_each_end_with_a_reason(tmp_path: Path, data_dir: Path) -> None:
    """Real alerts and tickets: every case is noted, closed, changed, routed or held, and none twice."""
    _, summary = _demo(tmp_path, "--data", str(data_dir))
    came_to = sum(int(str(summary[name])) for name in ("noted", "closed", "changes", "routed", "held"))
    assert (summary["lost"], summary["doubled"], summary["waiting"]) == (0, 0, 0)
    assert came_to == summary["cases"]
    assert int(str(summary["cases"])) >= 500


def test_a_mistyped_folder_leaves_the_last_demo_as_it_was(tmp_path: Path) -> None:
    """One sentence, before anything is cleared away."""
    kept = tmp_path / "var/demo/kpis.md"
    kept.parent.mkdir(parents=True)
    kept.touch()
    done = subprocess.run(
        [sys.executable, "-m", "sandbox.demo", "--data", "nowhere"],
        capture_output=True, text=True, timeout=100, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert kept.exists()


def test_a_decision_is_one_line_however_narrow_the_terminal() -> None:
    """Cut off with an ellipsis, so that a night can be read down the page."""
    said = io.StringIO()
    line = {"outcome": "draft_note", "ticket": "INC0010001", "rule": "the rest", "because": "so it is " * 20}
    with Progress(console=Console(file=said, width=60)) as progress:
        _decided(line, Night(), progress)
    assert [text for text in said.getvalue().splitlines() if "so it is" in text] == [
        said.getvalue().splitlines()[0]
    ]
    assert said.getvalue().splitlines()[0].endswith("…")
