"""A whole product in one process for tests: the sandbox's vendors over HTTP, a real ledger, no Celery in between."""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

from connectors.sql.controls import SqlControls
from connectors.sql.ledger import SqlLedger
from countersign.errors import CountersignError
from countersign.policy import Policy
from countersign.ports import Model
from sandbox import datadog, pagerduty, splunk
from sandbox.jira_records import JIRA_FIELDS
from sandbox.server import Sandbox
from sandbox.world import Write
from tests.terminal import Told, countersign
from workers.parts import Parts, Wake
from workers.settings import load_settings
from workers.tasks import STAGES
from workers.wiring import migrate, open_parts

ROOT = Path(__file__).parents[2]
POLICIES = [str(ROOT / "policies" / name) for name in ("alert-triage.yaml", "jira-triage.yaml")]


@dataclass
class Clock:
    """The ledger's clock, which a test can put forward instead of waiting."""

    ahead: timedelta = timedelta(0)
    slept: timedelta = timedelta(0)

    def monotonic(self) -> float:
        """A process's own clock, which goes on while the process sleeps."""
        return time.monotonic() + self.slept.total_seconds()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass
class House:
    """The product and its outside."""

    box: Sandbox
    parts: Parts
    config: Path
    clock: Clock

    def run(self, *stages: str) -> None:
        """Runs stages for every feed and desk, and everything that they wake, until nothing is awake."""
        awake = deque(wake for stage in stages for wake in self._first(stage))
        while awake:
            wake = awake.popleft()
            awake.extend(STAGES[wake.stage](self.parts, list(wake.ids)))

    def run_only(self, *stages: str) -> None:
        """Runs stages and of what they wake only what is one of them: work is left for later."""
        awake = deque(wake for stage in stages for wake in self._first(stage))
        while awake:
            wake = awake.popleft()
            woken = STAGES[wake.stage](self.parts, list(wake.ids))
            awake.extend(one for one in woken if one.stage in stages)

    def try_to(self, *stages: str) -> None:
        """Runs stages as their tasks do, whose boundary takes every error of ours."""
        with suppress(CountersignError):
            self.run(*stages)

    def command(self, *arguments: str, config: bool = True) -> Told:
        """Runs `countersign` with this house's configuration."""
        return countersign(*arguments, *(["--config", str(self.config)] if config else []))

    @property
    def controls(self) -> SqlControls:
        """The switch of this house's ledger."""
        return self.ledger.controls

    @property
    def ledger(self) -> SqlLedger:
        """The ledger as what it is: more than its ports."""
        assert isinstance(self.parts.ledger, SqlLedger)
        return self.parts.ledger

    def act(self, keys: Sequence[str]) -> None:
        """Does these actions, as one message of the act stage does."""
        list(STAGES["act"](self.parts, list(keys)))

    def once(self) -> None:
        """A night without Celery: read, decide and write all, and look at what people did."""
        self.run("pull", "sweep", "watch", "sweep")

    def pull(self, source: str) -> Iterator[Wake]:
        """Reads one source, as its task does."""
        return STAGES["pull"](self.parts, [source])

    def impatient(self) -> House:
        """The same house, whose ledger waits a tenth of a second for a lock."""
        url = self.parts.settings.ledger.get_secret_value()
        ledger = SqlLedger.open(url, clock=self.clock, patience=timedelta(seconds=0.1))
        return replace(self, parts=replace(self.parts, ledger=ledger))

    def later(self, **ahead: float) -> None:
        """Puts the ledger's clock forward and lets the sweeper send what has become due."""
        self.clock.ahead += timedelta(**ahead)
        self.run("sweep")

    def jump(self, ahead: timedelta) -> None:
        """Lets a process's own clock jump too: what sleeps through its lease knows when it wakes."""
        self.clock.slept += ahead

    @contextmanager
    def with_ledger(self, folder: Path, template: Path) -> Iterator[House]:
        """The same house on an empty ledger of its own, its clocks set back, with ServiceNow alone."""
        file = folder / "ledger.db"
        shutil.copyfile(template, file)
        clock = Clock()
        parts = replace(
            self.parts,
            ledger=SqlLedger.open(f"sqlite:///{file}", clock=clock),
            monotonic=clock.monotonic,
            sources={"servicenow": self.parts.sources["servicenow"]},
            desks={"servicenow": self.parts.desks["servicenow"]},
        )
        try:
            yield replace(self, parts=parts, clock=clock)
        finally:
            parts.ledger.close()

    def clear(self) -> None:
        """Ends every open ticket at ServiceNow, and forgets what was written."""
        desk = self.box.servicenow
        ended = {"state": "7", "close_code": "Resolved by caller", "close_notes": "over"}
        self.box.run(
            lambda: [
                desk.set_fields(row["sys_id"], "lena.fischer", **ended)
                for row in list(desk.records.rows["incident"].values())
                if row["active"] == "true"
            ]
        )
        self.box.run(self.box.world.writes.clear)

    @property
    def writes(self) -> list[Write]:
        """The vendors' own log."""
        return self.box.run(lambda: list(self.box.world.writes))

    def with_policy(self, use_case: str = "alert-triage", /, **changes: object) -> House:
        """The same house under a changed policy, ServiceNow's if none is named."""
        old = self.parts.policies[use_case]
        new = Policy.model_validate(old.model_dump(by_alias=True) | changes)
        return replace(self, parts=replace(self.parts, policies={**self.parts.policies, use_case: new}))

    def with_models(self, *models: Model) -> House:
        """The same house where every policy asks these models."""
        return replace(self, parts=replace(self.parts, models=lambda _policy: models))

    def _first(self, stage: str) -> Iterator[Wake]:
        ids: Sequence[str] = {"pull": sorted(self.parts.sources), "watch": sorted(self.parts.desks)}.get(
            stage, ("",)
        )
        return (Wake(stage, (one,)) for one in ids)


@contextmanager
def house(folder: Path, ledger: str, **settings: object) -> Iterator[House]:
    """A house on an empty ledger, with an empty sandbox."""
    with Sandbox(seed=7) as box:
        config = write_config(folder, box, ledger, **settings)
        loaded = load_settings(config)
        migrate(loaded)
        clock = Clock()
        opened = open_parts(loaded, keep=True)
        opened.ledger.close()
        parts = replace(opened, ledger=SqlLedger.open(ledger, clock=clock))
        try:
            yield House(box=box, parts=parts, config=config, clock=clock)
        finally:
            parts.close()


def write_config(folder: Path, box: Sandbox, ledger: str, **settings: object) -> Path:
    """countersign.yaml as the demo writes it, without any waiting."""
    urls = box.urls
    config = {
        "ledger": ledger,
        "policies": _policies(folder),
        "timing": {"settle": "0s", "look_back": "9h", "vendor_settle": "0s"},
        "datadog": {"url": urls["datadog"], "api_key": datadog.API_KEY, "app_key": datadog.APP_KEY},
        "splunk": {"url": urls["splunk"], "token": splunk.TOKEN},
        "pagerduty": {"url": urls["pagerduty"], "token": pagerduty.TOKEN, "sender": pagerduty.BOT_EMAIL},
        "servicenow": {"url": urls["servicenow"], "user": "countersign", "password": "test-password-4711"},
        "jira": {
            "url": urls["jira"],
            "user": "countersign@example.com",
            "token": "test-token",
            "project": "OPS",
            "change_project": "CHG",
            "ticket_type": "Incident",
            "fields": JIRA_FIELDS,
        },
        **settings,
    }
    path = folder / "countersign.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def shipped(name: str = "alert-triage") -> str:
    """A shipped policy's text, but that it draws no case for the control lane: no test is a matter of chance."""
    text = (ROOT / "policies" / f"{name}.yaml").read_text(encoding="utf-8")
    assert "\ncontrol_lane: 0.10" in text
    return text.replace("\ncontrol_lane: 0.10", "\ncontrol_lane: 0.0")


def _policies(folder: Path) -> list[str]:
    (folder / "policies").mkdir(exist_ok=True)
    copies = [folder / "policies" / Path(name).name for name in POLICIES]
    for copy in copies:
        copy.write_text(shipped(copy.stem), encoding="utf-8")
    return [str(copy) for copy in copies]
