"""`countersign feedback`: labels made anew, and versions of the pool, by those who may."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from countersign.assessment import Assessment
from countersign.ledger import Correction
from countersign.policy import Policy
from tests.workers.house import House, house, shipped
from workers.in_force import Current
from workers.main import main
from workers.wiring import renewed

USE_CASE = "alert-triage"


@pytest.fixture
def home(tmp_path: Path, sqlite_url: str) -> Iterator[House]:
    """A house whose ledger holds one decided case that two people have corrected."""
    text = shipped()
    policy = yaml.safe_load(text) | {"control_lane": 0.0, "rights": {"retrain": ["dana"]}}
    file = tmp_path / "alert-triage.yaml"
    file.write_text(yaml.safe_dump(policy), encoding="utf-8")
    os.utime(file, (time.time() - 5,) * 2)  # what changed a moment ago may be half written
    with house(tmp_path, sqlite_url, policies=[str(file)]) as one:
        desk = one.box.servicenow
        one.box.run(lambda: desk.open_incident(short_description="mast lamp out", description="mast seven"))
        one.once()
        (line,) = one.ledger.reading.cases(limit=2)
        for who in ("lena", "tomas"):
            said = Correction(
                case_id=line.id, change_id=who, verdict="wrong", by=who, at=one.clock(), field="category",
                after="hardware",
            )  # fmt: skip
            one.ledger.watch.record_corrections([said])
        yield one


def _feedback(home: House, *arguments: str, code: str = "0") -> None:
    with pytest.raises(SystemExit, match=code):
        main(["feedback", *arguments, "--config", str(home.config)])


def test_labels_are_made_anew_by_a_command(home: House, capsys: pytest.CaptureFixture[str]) -> None:
    """It counts what changed; a second time nothing does."""
    _feedback(home, "relabel")
    _feedback(home, "relabel", "--use-case", USE_CASE)
    told = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[2] for line in told][1] == "0 as before, 0 new, 0 changed, 0 withdrawn."


def test_a_version_is_put_in_force_by_who_may_let_the_model_learn(
    home: House, capsys: pytest.CaptureFixture[str]
) -> None:
    """Anybody builds and looks; others than the policy names are refused, and so is a step back to the future."""
    _feedback(home, "pool", "--build")
    _feedback(home, "pool", "--activate", "1", "--by", "eve", code="1")
    _feedback(home, "pool", "--activate", "1", "--by", "dana")
    _feedback(home, "pool", "--rollback", "1", "--by", "dana", code="1")
    _feedback(home, "pool")
    _feedback(home, "pool", "--rollback", "0", "--by", "dana")
    told = capsys.readouterr()
    assert "version 1 has 1 entries" in told.out
    assert "eve may not let the embedded model learn anew" in told.err
    assert "--rollback takes an earlier one" in told.err
    assert home.ledger.pool.active(USE_CASE) == 0


def _worker(home: House) -> Callable[[], House]:
    """A worker: the house as its next task finds it, some seconds later. It has had a task before."""
    current = Current(replace(home.parts, monotonic=home.clock.monotonic), renewed)
    current()

    def task() -> House:
        home.jump(timedelta(seconds=3))
        return replace(home, parts=current())

    return task


def _answer(home: House, ship: str) -> tuple[str, str]:
    """Under which name the embedded model decides a new ticket, and what it reads."""
    desk, title = home.box.servicenow, f"mast lamp out on {ship}"
    row = home.box.run(lambda: desk.open_incident(short_description=title, description="mast seven"))
    home.once()
    said = home.ledger.reading.story(str(row["number"])).decisions[-1].assessment
    assert isinstance(said, Assessment)
    return said.model, said.category


def test_running_workers_learn_and_forget_within_seconds(home: House) -> None:
    """A version is activated and rolled back while two workers run: tasks that start afterwards have it, on both."""
    first, second = _worker(home), _worker(home)
    _feedback(home, "pool", "--build")
    before = first()
    _feedback(home, "pool", "--activate", "1", "--by", "dana")
    taught = [_answer(first(), "aurora"), _answer(second(), "bella")]
    running = first()
    _feedback(home, "pool", "--rollback", "0", "--by", "dana")
    after = _answer(first(), "clara")
    assert [(name[:6], category) for name, category in taught] == [("local+", "hardware")] * 2
    assert _answer(running, "delta") == taught[0], "a task goes on with what it began with"
    assert after[0] == _answer(before, "eva")[0] == "local"
    assert after[1] != "hardware"


def test_a_pool_that_stays_is_learnt_once(home: House) -> None:
    """Looking every two seconds makes no new model, and what language models remember of outages stays."""
    worker = _worker(home)
    before = worker()
    _feedback(home, "pool", "--build")
    assert worker().parts.local is before.parts.local
    _feedback(home, "pool", "--activate", "1", "--by", "dana")
    after = worker()
    assert after.parts.local is not before.parts.local
    assert after.parts.local is worker().parts.local
    policy = _asking(after.parts.policies[USE_CASE], "openai/gpt-4.1-mini", "local")
    old, new = (one.parts.models(policy) for one in (before, after))
    assert new[0] is old[0]
    assert new[1] is after.parts.local


def _asking(policy: Policy, *names: str) -> Policy:
    return policy.model_copy(update={"model": policy.model.model_copy(update={"candidates": names})})


def test_where_policies_are_signed_the_right_is_shown_with_a_key(
    home: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The name alone is not taken at its word."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    config = yaml.safe_load(home.config.read_text(encoding="utf-8"))
    config["keys"] = {"dana": base64.b64encode(public).decode()}
    home.config.write_text(yaml.safe_dump(config), encoding="utf-8")
    pem = tmp_path / "dana.pem"
    pem.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    _feedback(home, "pool", "--build")
    _feedback(home, "pool", "--activate", "1", "--by", "dana", code="1")
    _feedback(home, "pool", "--activate", "1", "--by", "dana", "--key", str(pem))
    assert "has to show a key" in capsys.readouterr().err
    assert home.ledger.pool.active(USE_CASE) == 1


def test_corrections_are_exported_in_every_form(
    home: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Conversations and pairs of what two people agree on, tables of everything, and the pool beside them."""
    out = tmp_path / "out"
    for kind in ("chat", "preferences", "csv", "parquet"):
        _feedback(home, "export", "--use-case", USE_CASE, "--format", kind, "--out", str(out))
    (chat,) = (out / "chat.train.jsonl").read_text(encoding="utf-8").splitlines()
    (pair,) = (out / "preferences.train.jsonl").read_text(encoding="utf-8").splitlines()
    said, right = json.loads(chat)["messages"], json.loads(pair)
    assert "mast seven" in said[1]["content"]
    assert json.loads(said[2]["content"])["category"] == "hardware"
    assert json.loads(right["rejected"][0]["content"])["category"] != "hardware"
    assert (out / "corrections.csv").read_text(encoding="utf-8").count("person 2") == 1
    assert sorted(one.name for one in out.iterdir()) == [
        "chat.eval.jsonl", "chat.train.jsonl", "corrections.csv", "corrections.parquet", "pool.jsonl",
        "preferences.eval.jsonl", "preferences.train.jsonl",
    ]  # fmt: skip
    _feedback(home, "export", "--use-case", USE_CASE, "--format", "xlsx", "--out", str(out), code="1")
    assert "--format is one of chat" in capsys.readouterr().err


def test_an_export_that_is_interrupted_says_so(
    home: House, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while it reads: nothing is there, and the exit status is that of an interruption."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("connectors.sql.material._lot", interrupted)
    out = tmp_path / "out"
    _feedback(home, "export", "--use-case", USE_CASE, "--out", str(out), code="130")
    assert f"what is in {out} is as it was before" in capsys.readouterr().err
    assert not out.exists()
