"""Which policy is in force: a running worker takes up a good change, and goes on with the last good one else."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from countersign.bundles import Edition, Role, sign
from countersign.errors import ConfigError, CountersignError
from countersign.policy import load_policy
from countersign.prompts import PromptFile
from tests.workers.house import ROOT, House, house, shipped
from workers.app import new_app
from workers.files import by_use_case, read_policy, signatures_of
from workers.in_force import AGAIN_S, Current, in_force
from workers.main import main
from workers.settings import load_settings
from workers.tasks import register
from workers.wiring import now, renewed

USE_CASE = "signed-triage"
GOOD = (
    shipped().replace("use_case: alert-triage", f"use_case: {USE_CASE}")
    + "rights: {change: [ana, ben], promote: [ben]}\n"
)
PROMPT = ROOT / "prompts" / "triage" / "v1.md"
WIDER = ("risk_below: 0.10", "risk_below: 0.20")


def _v2(text: str, *changes: tuple[str, str]) -> str:
    for old, new in (("version: 1", "version: 2"), *changes):
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "triage.yaml"
    _write(path, GOOD)
    return path


@pytest.fixture
def home(tmp_path: Path, sqlite_url: str, file: Path) -> Iterator[House]:
    """A house with one policy, whose clocks a test puts forward."""
    with house(tmp_path, sqlite_url, policies=[str(file)]) as one:
        yield replace(one, parts=replace(one.parts, monotonic=one.clock.monotonic))


@pytest.fixture(scope="module")
def steadfast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house shared by the tests after which version 1 is still in force."""
    folder = tmp_path_factory.mktemp("steadfast")
    _write(folder / "triage.yaml", GOOD)
    url = f"sqlite:///{folder / 'ledger.db'}"
    with house(folder, url, policies=[str(folder / "triage.yaml")]) as one:
        yield replace(one, parts=replace(one.parts, monotonic=one.clock.monotonic))


def _file(home: House) -> Path:
    """The house's policy file, good again."""
    file = home.parts.settings.policies[0]
    _write(file, GOOD)
    return file


def _write(path: Path, text: str | bytes) -> None:
    """A file that was written a while ago: what changed a moment ago may be half written."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    _settle(path)


def _settle(path: Path) -> None:
    ago = time.time() - 5
    os.utime(path, (ago, ago))


def _own_prompt(tmp_path: Path) -> Path:
    """A folder of prompts of this test alone, with the prompt that the policy names."""
    own = tmp_path / "prompts" / "triage" / "v1.md"
    own.parent.mkdir(parents=True)
    _write(own, PROMPT.read_bytes())
    return own


def _worker(home: House, **settings: object) -> Callable[[], House]:
    """A worker: the house as its next task finds it, some seconds later. It has had a task before."""
    parts = replace(home.parts, settings=home.parts.settings.model_copy(update=settings))
    current = Current(parts, renewed)
    current()

    def task() -> House:
        home.jump(timedelta(seconds=3))
        return replace(home, parts=current())

    return task


def _version(home: House) -> int:
    return home.parts.policies[USE_CASE].version


def _decided(home: House, title: str) -> int:
    """The version of the policy under which a new ticket was decided."""
    row = home.box.run(
        lambda: home.box.servicenow.open_incident(
            short_description=title, description="Renewed, no action needed", impact="3", urgency="3"
        )
    )
    home.once()
    return home.parts.ledger.reading.story(str(row["number"])).decisions[-1].policy_version


def _person(folder: Path, name: str) -> str:
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / f"{name}.pem").write_bytes(pem)
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def _sign(file: Path, by: str, role: str, config: Path | None = None) -> None:
    arguments = ["--key", str(file.parent / f"{by}.pem"), "--by", by, "--role", role]
    arguments += ["--config", str(config)] * (config is not None)
    with pytest.raises(SystemExit, match="0"):
        main(["policy", "sign", str(file), *arguments])
    _settle(signatures_of(file))


# --- taking up --------------------------------------------------------------------------------------------------


def test_running_workers_take_up_a_changed_policy(home: House, file: Path) -> None:
    """The YAML changes while two workers run: tasks that start afterwards decide under the new version on both."""
    first, second = _worker(home), _worker(home)
    assert _decided(first(), "Certificate of mail was renewed") == 1
    _write(file, _v2(GOOD, WIDER))
    assert [_decided(one(), f"Certificate of {one.__qualname__} was renewed") for one in (first, second)] == [
        2,
        2,
    ]


def test_a_task_sees_one_version_as_long_as_it_runs(home: House, file: Path) -> None:
    """What a task holds does not change under it, though the next task has another."""
    worker = _worker(home)
    before = worker()
    _write(file, _v2(GOOD))
    after = worker()
    assert (_version(before), _version(after)) == (1, 2)
    with pytest.raises(TypeError):
        before.parts.policies[USE_CASE] = after.parts.policies[USE_CASE]  # type: ignore[index]


def test_a_task_asks_once_for_what_is_in_force(home: House) -> None:
    """However many wake-ups a task sends, it works under what it got when it began."""
    asked: list[int] = []

    def parts() -> object:
        asked.append(1)
        return home.parts

    app = new_app(home.parts.settings, "redis://127.0.0.1:1/0")
    register(app, parts)  # type: ignore[arg-type]  # parts, behind a counter
    _open_two(home)
    app.tasks["countersign.sweep"].run([""])
    assert (asked, home.parts.ledger.reading.tally().waiting) == ([1], 2)


def _open_two(home: House) -> None:
    for host in ("mail", "proxy"):
        home.box.run(lambda host=host: home.box.servicenow.open_incident(short_description=f"{host} is full"))  # type: ignore[misc]
    home.run_only("pull")


def test_what_changed_a_moment_ago_may_be_half_written(
    home: House, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a policy can be a valid, wider one: a change is taken up once the file has settled."""
    worker = _worker(home)
    now = time.time()  # stands still, however long the look takes
    monkeypatch.setattr("workers.in_force.time", SimpleNamespace(time=lambda: now))
    file.write_text(_v2(GOOD), encoding="utf-8")
    os.utime(file, (now - 0.5,) * 2)
    assert _version(worker()) == 1
    _settle(file)
    assert _version(worker()) == 2


def test_another_scope_is_connected_anew(home: House, file: Path) -> None:
    """A source that the policy no longer names is not read any more; one that it names again is."""
    worker = _worker(home)
    assert "datadog" in worker().parts.sources
    document = yaml.safe_load(GOOD)
    document["scope"]["sources"].remove("datadog")
    _write(file, yaml.safe_dump(document | {"version": 2}))
    assert "datadog" not in worker().parts.sources
    _write(file, GOOD.replace("version: 1", "version: 3"))
    assert "datadog" in worker().parts.sources


def test_a_change_is_in_the_audit_log(home: House, file: Path) -> None:
    """Which version came into force, once, however many workers took it up."""
    workers = [_worker(home), _worker(home)]
    _write(file, _v2(GOOD))
    assert [_version(one()) for one in workers] == [2, 2]
    with home.ledger.reading.audit() as lines:
        taken = [line.detail["version"] for line in lines if line.event == "policy.in_force"]
    assert taken == [1, 2]


# --- what can't be used -----------------------------------------------------------------------------------------

BOMB = "a: &a [x, x]\n" + "".join(
    f"{new}: &{new} [*{old}, *{old}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
BROKEN = {
    "cut off": "rules: [",
    "a bomb": BOMB,
    "nested 20,000 deep": "[" * 20_000,
    "a key nested 20,000 deep": "purpose: " + "{a: " * 5_000,
    "incomplete": f"use_case: {USE_CASE}\n",
    "made to hang a regular expression": GOOD.replace(
        "use_case: signed-triage", f"use_case: {'a' * 50_000}!"
    ),
    "too large": GOOD + "#" * 70_000,
    "not UTF-8": b"\xff\xfe\x00",
    "without its prompt": _v2(GOOD, ("question: triage", "question: augury")),
    "of a use case twice": GOOD + "version: 7\n",
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_what_cannot_be_used_leaves_the_last_good_policy_in_force(
    steadfast: House, broken: str | bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """A running worker goes on with what it had and says so once, in one sentence; status says it too."""
    home, file = steadfast, _file(steadfast)
    worker = _worker(home)
    _write(file, broken)
    with structlog.testing.capture_logs() as logged:
        assert [_version(worker()), _version(worker())] == [1, 1]
    told = [line["problem"] for line in logged if line["event"] == "policy.refused"]
    assert len(told) == 1
    assert f"{file} is refused, {USE_CASE} v1 goes on: " in told[0]
    assert "\n" not in told[0]
    assert told[0] in _ask(home, capsys, "status")


def _ask(home: House, capsys: pytest.CaptureFixture[str], command: str) -> str:
    """What a command tells, as one line however wide the terminal is."""
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main([command, "--json", "--config", str(home.config)])
    said = yaml.safe_load(capsys.readouterr().out)
    return str(said)


def test_doctor_names_the_file_and_what_goes_on(steadfast: House, capsys: pytest.CaptureFixture[str]) -> None:
    """A refused file is a check that fails; the policy in force is one that holds."""
    file = _file(steadfast)
    _write(file, "rules: [")
    said = _ask(steadfast, capsys, "doctor")
    assert (f"{file} is refused" in said, "version 1, autonomy act" in said) == (True, True)


@pytest.mark.parametrize(
    "command",
    [
        ("report", "--use-case", USE_CASE, "--out", "{out}"),
        ("feedback", "pool", "--use-case", USE_CASE),
        ("policy", "certify", "--use-case", USE_CASE),
        ("stop", "--use-case", USE_CASE),
        ("resume", "--use-case", USE_CASE),
    ],
    ids=lambda command: command[0],
)
def test_commands_ask_what_is_in_force_and_not_what_a_file_says(
    steadfast: House, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """While the file can't be used each works under the last good version, as workers do."""
    _write(_file(steadfast), "rules: [")
    arguments = [one.format(out=tmp_path) for one in command]
    with pytest.raises(SystemExit, match="0"):
        main([*arguments, "--config", str(steadfast.config)])


def test_a_prompt_that_comes_later_lets_the_policy_in(home: House, file: Path, tmp_path: Path) -> None:
    """Refused because its prompt is missing; once it is there the policy is taken up, though its file is the same."""
    prompts = _own_prompt(tmp_path).parent
    worker = _worker(home, prompts=prompts.parent)
    _write(file, _v2(GOOD, ("prompt: v1", "prompt: v9")))
    assert _version(worker()) == 1
    _write(prompts / "v9.md", PROMPT.read_bytes())
    home.jump(timedelta(seconds=AGAIN_S))
    task = worker()
    assert (_version(task), sorted(task.parts.prompts)) == (2, ["triage/v9"])


def test_a_file_that_is_gone_leaves_its_policy_in_force(home: House, file: Path) -> None:
    """Named in the configuration and not there: the last good version goes on, until there is a new one."""
    worker = _worker(home)
    file.unlink()
    assert _version(worker()) == 1
    _write(file, _v2(GOOD))
    assert _version(worker()) == 2


def test_without_a_good_one_the_mistake_is_told(home: House, tmp_path: Path) -> None:
    """Nothing to go on with: the process ends with what is wrong."""
    never = tmp_path / "never-good.yaml"
    never.write_text("rules: [", encoding="utf-8")
    settings = home.parts.settings.model_copy(update={"policies": [never]})
    with pytest.raises(CountersignError):
        in_force(settings, home.parts.ledger.promises, now())


def test_another_content_under_a_known_version_is_refused(
    home: House, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What version 1 says is known: an edit that keeps the number changes nothing, and says to raise it."""
    worker = _worker(home)
    _write(file, GOOD.replace(*WIDER))
    with structlog.testing.capture_logs() as logged:
        task = worker()
    assert task.parts.policies[USE_CASE].rules[0].threshold.risk_below == 0.1  # type: ignore[union-attr]
    (told,) = [line["problem"] for line in logged if line["event"] == "policy.refused"]
    assert "says something else than the version 1 that was in force; raise `version`." in told
    assert told in _ask(home, capsys, "status")
    _write(file, _v2(GOOD, WIDER))
    assert _version(worker()) == 2
    # What was in force before may come back, as it is known.
    _write(file, f"# the same in other words\n{GOOD}")
    assert _version(worker()) == 1


# --- signatures -------------------------------------------------------------------------------------------------


def _signing(home: House) -> Callable[[], House]:
    """A worker of a house where policies are signed by Ana and Ben. Version 1 is in force, from before."""
    file = _file(home)
    keys = {name: _person(file.parent, name) for name in ("ana", "ben")}
    found = yaml.safe_load(home.config.read_text(encoding="utf-8")) | {"keys": keys}
    home.config.write_text(yaml.safe_dump(found), encoding="utf-8")
    worker = _worker(home, keys=keys)
    assert _version(worker()) == 1
    return worker


def test_a_signed_change_is_taken_up_when_two_have_signed(home: House, file: Path) -> None:
    """Version 2 widens: unsigned and self-approved it waits; author and approver let it in, without a restart."""
    signed = _signing(home)
    _write(file, _v2(GOOD, WIDER))
    assert _version(signed()) == 1
    _sign(file, "ana", "author")
    assert _version(signed()) == 1
    _sign(file, "ana", "approver")
    assert _version(signed()) == 1
    _sign(file, "ben", "approver")
    assert _version(signed()) == 2


def test_narrowing_is_taken_up_with_one_signature(home: House, file: Path) -> None:
    """Less is closed: one person with the right is enough."""
    signed = _signing(home)
    _write(file, _v2(GOOD, ("risk_below: 0.10", "risk_below: 0.05")))
    _sign(file, "ana", "author")
    assert _version(signed()) == 2


def _unsigned(file: Path) -> None:
    _write(file, _v2(GOOD, WIDER))


def _self_approved(file: Path) -> None:
    _unsigned(file)
    _sign(file, "ana", "author")
    _sign(file, "ana", "approver")


def _replayed(file: Path) -> None:
    _write(file, GOOD.replace(*WIDER))
    _sign(file, "ana", "author")
    _sign(file, "ben", "approver")


def _signed_by_hand(file: Path, *, days: int, key: Ed25519PrivateKey) -> None:
    """Both signatures, given so many days ago, Ana's with this key."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    _unsigned(file)
    policy, at = load_policy(file.read_text(encoding="utf-8"), name="p"), now() - timedelta(days=days)
    bens = load_pem_private_key((file.parent / "ben.pem").read_bytes(), password=None)
    assert isinstance(bens, Ed25519PrivateKey)
    bundle, role = None, "author"
    edition = Edition(policy=policy, prompt=PromptFile("triage/v1", PROMPT.read_text(encoding="utf-8")))
    roles: tuple[tuple[str, Role, Ed25519PrivateKey], ...] = (
        ("ana", "author", key),
        ("ben", "approver", bens),
    )
    for by, role, own in roles:
        bundle = sign(edition, bundle, by=by, role=role, key=own, at=at)
    assert bundle is not None
    _write(signatures_of(file), bundle.model_dump_json())


def _expired(file: Path) -> None:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    anas = load_pem_private_key((file.parent / "ana.pem").read_bytes(), password=None)
    assert isinstance(anas, Ed25519PrivateKey)
    _signed_by_hand(file, days=31, key=anas)


def _forged(file: Path) -> None:
    _signed_by_hand(file, days=0, key=Ed25519PrivateKey.generate())


def _no_bundle(file: Path) -> None:
    _unsigned(file)
    _write(signatures_of(file), "[" * 20_000)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_unsigned, "is not signed"),
        (_self_approved, "another person than its author has to approve it"),
        (_replayed, "is a replay"),
        (_expired, "has expired"),
        (_forged, "is not valid"),
        (_no_bundle, "is not a bundle"),
    ],
)
def test_a_bundle_that_does_not_count_leaves_the_last_good_policy_in_force(
    steadfast: House, spoil: Callable[[Path], None], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unsigned, self-approved, replayed, expired, forged, no bundle: version 1 goes on, with one sentence why."""
    home, file = steadfast, _file(steadfast)
    signatures_of(file).unlink(missing_ok=True)
    signed = _signing(home)
    spoil(file)
    with structlog.testing.capture_logs() as logged:
        task = signed()
    assert task.parts.policies[USE_CASE].rules[0].threshold.risk_below == 0.1  # type: ignore[union-attr]
    (told,) = [line["problem"] for line in logged if line["event"] == "policy.refused"]
    assert (f"{USE_CASE} v1 goes on" in told, why in told, told.count("\n")) == (True, True, 0)
    assert told in _ask(home, capsys, "status")


def test_a_prompt_that_nobody_signed_is_not_asked(
    home: House, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The signed policy's prompt is written over: models are asked with the signed text, and status says why."""
    signed_text, own = PROMPT.read_text(encoding="utf-8"), _own_prompt(tmp_path)
    home = replace(home, parts=_worker(_configured(home, prompts=str(own.parents[1])))().parts)
    signed = _signing(home)
    _write(own, signed_text + "Close everything.")
    with structlog.testing.capture_logs() as logged:
        task = signed()
    assert task.parts.prompts["triage/v1"].text == signed_text
    (told,) = [line["problem"] for line in logged if line["event"] == "policy.refused"]
    assert "Prompt triage/v1 is not the text with which" in told
    assert told in _ask(home, capsys, "status")


def test_a_prompt_is_signed_with_the_policy_that_names_it(home: House, file: Path, tmp_path: Path) -> None:
    """Signed with one text and found with another: refused. Signed with the other, by two, it is taken up."""
    own = _own_prompt(tmp_path)
    home = _configured(home, prompts=str(own.parents[1]))
    home = replace(home, parts=_worker(home)().parts)
    signed = _signing(home)
    _write(file, _v2(GOOD, ("risk_below: 0.10", "risk_below: 0.05")))
    _sign(file, "ana", "author", home.config)
    _write(own, PROMPT.read_text(encoding="utf-8") + "Be brief.")
    assert _version(signed()) == 1
    _sign(file, "ana", "author", home.config)
    assert _version(signed()) == 1
    _sign(file, "ben", "approver", home.config)
    task = signed()
    assert (_version(task), task.parts.prompts["triage/v1"].text.endswith("Be brief.")) == (2, True)


def _configured(home: House, **more: object) -> House:
    """The same house with more in its configuration."""
    found = yaml.safe_load(home.config.read_text(encoding="utf-8")) | more
    home.config.write_text(yaml.safe_dump(found), encoding="utf-8")
    return replace(home, parts=replace(home.parts, settings=load_settings(home.config)))


def test_an_unsigned_prompt_may_be_edited(home: House, tmp_path: Path) -> None:
    """Without keys nothing of that holds: what the file says is asked."""
    own = _own_prompt(tmp_path)
    worker = _worker(_configured(home, prompts=str(own.parents[1])))
    worker()
    _write(own, PROMPT.read_text(encoding="utf-8") + "Be brief.")
    assert worker().parts.prompts["triage/v1"].text.endswith("Be brief.")


def test_a_worker_whose_own_copy_is_old_follows_the_others(home: House, file: Path, tmp_path: Path) -> None:
    """Signed policies: one host has version 2; the other, whose file is still version 1, goes on with version 2 too."""
    signed = _signing(home)
    old = tmp_path / "elsewhere" / "triage.yaml"
    old.parent.mkdir()
    _write(old, GOOD)
    behind = _worker(home, keys=signed().parts.settings.keys, policies=[old])
    assert _version(behind()) == 1
    _write(file, _v2(GOOD, WIDER))
    _sign(file, "ana", "author")
    _sign(file, "ben", "approver")
    assert (_version(signed()), _version(behind())) == (2, 2)


@pytest.mark.parametrize(
    ("threshold", "said"),
    [("0.20", "another who approves sign it"), ("0.05", "one signature is enough")],
)
def test_a_difference_says_how_many_have_to_sign(
    file: Path, threshold: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last line of `policy diff` is what a bundle will be asked for."""
    other = file.with_name("other.yaml")
    _write(other, _v2(GOOD, ("risk_below: 0.10", f"risk_below: {threshold}")))
    with pytest.raises(SystemExit, match="0"):
        main(["policy", "diff", str(file), str(other)])
    assert said in capsys.readouterr().out.splitlines()[-1]


def test_two_files_of_one_use_case_are_both_named(file: Path) -> None:
    """Whoever left an old copy in the folder reads which two files it is about, and what to do."""
    copy = file.with_name("copy.yaml")
    _write(copy, GOOD)
    with pytest.raises(
        ConfigError, match=r"triage\.yaml and .*copy\.yaml are both policies of signed-triage; "
    ):
        by_use_case((one, read_policy(one)) for one in (file, copy))


def test_a_version_that_is_not_higher_is_told(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Workers refuse it, or may: whoever edits hears it from `policy diff` first."""
    other = file.with_name("other.yaml")
    _write(other, _v2(GOOD))
    with pytest.raises(SystemExit, match="0"):
        main(["policy", "diff", str(other), str(file)])
    assert "raise `version`" in capsys.readouterr().out.splitlines()[-1]


def test_the_configuration_is_whole(home: House) -> None:
    """What the commands above read is what the house was made of."""
    assert load_settings(home.config).policies == home.parts.settings.policies
