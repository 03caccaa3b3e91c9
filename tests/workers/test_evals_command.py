"""`countersign evals`: one table for any model and prompt, on texts whose label is known."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.model import TOKEN
from tests.workers.house import House
from workers.main import main

TEXTS = {
    "capacity": "filesystem /data-{n} of {word} is 91 % full",
    "performance": "p95 latency of {word} is {n} ms and slow",
}
WORDS = (
    "cart",
    "search",
    "mail",
    "proxy",
    "auth",
    "billing",
    "stock",
    "images",
    "orders",
    "queue",
    "edge",
    "blog",
)


def test_a_language_model_is_put_beside_the_embedded_one(
    home: House, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same held-back texts, the same columns: rows, labels, accuracy, F1, calibration error, mistakes."""
    monkeypatch.setenv("OPENAI_API_KEY", TOKEN)
    monkeypatch.setenv("COUNTERSIGN_MODELS__API_BASE", f"{home.box.urls['model']}/v1")
    rows = [
        {"text": text.format(n=n, word=word), "label": label}
        for label, text in TEXTS.items()
        for n, word in enumerate(WORDS)
    ]
    (tmp_path / "labels.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    # In a process of its own, whose end closes the connections to the model.
    asked = subprocess.check_output(
        [sys.executable, "-m", "workers", "evals", "--data", tmp_path, "--model", "openai/sandbox-small",
         "--prompt", "triage/v1", "--config", home.config],
        text=True, timeout=100,
    )  # fmt: skip
    with pytest.raises(SystemExit, match="0"):
        main(["evals", "--data", str(tmp_path), "--config", str(home.config)])
    local = capsys.readouterr().out
    assert "local, taught from the other parts" in local
    assert "openai/sandbox-small, triage/v1" in asked
    heads = [out.splitlines()[1].split() for out in (local, asked)]
    assert (
        heads[0]
        == heads[1]
        == ["set", "rows", "labels", "accuracy", "macro", "F1", "ECE", "most", "confused"]
    )
    name, count, labels, accuracy = asked.splitlines()[2].rstrip().rsplit(maxsplit=5)[:4]
    assert (name.strip(), labels, accuracy) == ("own labels", "2", "1.000")
    assert home.box.run(lambda: home.box.model.calls) == int(count)
