"""The wiring: the one place that names vendors. Builds what a process needs from the settings, when it needs it.

The SDKs and Celery are imported where they are first needed: a command that only reads the ledger starts without them.
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from connectors.cursor import Pace
from connectors.embedded.evals import labelled_sets, learner
from connectors.embedded.model import EmbeddedModel
from connectors.manifest import AUTONOMIES
from connectors.redis.answers import RedisAnswers
from connectors.redis.budget import RedisPurse
from connectors.redis.server import EmbeddedRedis
from connectors.redis.server import answers as broker_answers
from connectors.smtp.mailer import SmtpConfig, SmtpMailer
from connectors.sql.ledger import SqlLedger
from connectors.sql.migrate import migrate as migrate_ledger
from countersign.errors import ConfigError
from countersign.evals import Maker, Row, asked_of
from countersign.policy import Policy
from countersign.ports import AlertSource, Check, Cmdb, Desk, Directory, LogSearch, Marked, Model
from countersign.prompts import Example, PromptFile, examples, prompt_file
from countersign.spans import said
from workers.crowd import crowd_for
from workers.files import data_folder
from workers.in_force import Current, InForce, in_force
from workers.mailing import unmailed
from workers.parts import Closing, Parts
from workers.place import name as place_name
from workers.settings import EMBEDDED, Settings
from workers.shutdown import Shutdown
from workers.trial import tried_once

if TYPE_CHECKING:
    from celery import Celery

    from connectors.datadog.client import DatadogClient
    from connectors.jira.client import JiraClient
    from connectors.pagerduty.client import PagerDutyClient
    from connectors.servicenow.client import ServiceNowClient
    from connectors.splunk.client import SplunkClient
    from countersign.tryout import Assess
    from countersign.tryout.outcome import Learn

LOCAL = "local"
EXAMPLES = "triage/examples.jsonl"
# What Celery imports when a worker starts, by name and late.
_OF_A_WORKER = (
    "celery.apps.worker", "celery.worker.components", "celery.worker.consumer", "celery.worker.autoscale",
    "celery.concurrency.thread", "kombu.transport.redis", "workers.tasks",
)  # fmt: skip


def now() -> datetime:
    return datetime.now(UTC)


# --- the ledger and the broker --------------------------------------------------------------------------------


def open_ledger(settings: Settings) -> SqlLedger:
    return SqlLedger.open(settings.ledger.get_secret_value())


def migrate(settings: Settings) -> None:
    """Brings the ledger's tables up to this version."""
    migrate_ledger(settings.ledger.get_secret_value())


def embedded_broker() -> EmbeddedRedis:
    """A Redis server of our own, to be used in a `with` block."""
    return EmbeddedRedis()


def broker_address(settings: Settings) -> str:
    """The broker's address. Raises ConfigError where only `up` would start one."""
    address = settings.broker.get_secret_value()
    if address == EMBEDDED:
        raise ConfigError(
            "The embedded broker lives inside `countersign up`; set `broker` to a redis:// address to run roles alone."
        )
    return address


def broker_works(broker: str) -> bool:
    """Whether wake-ups can be sent and taken now."""
    return broker_answers(broker)


def reachable(settings: Settings, broker: str) -> dict[str, bool]:
    """Whether ledger and broker answer now; what health shows."""
    ledger = open_ledger(settings)
    try:
        return {"ledger": all(check.ok for check in ledger.check()), "broker": broker_answers(broker)}
    finally:
        ledger.close()


# --- models ---------------------------------------------------------------------------------------------------


def new_embedded_model(settings: Settings, *, corrections: bool = True) -> EmbeddedModel:
    """The model `local`: learns from the shipped examples, and from the active versions of the pool."""
    folder, ledger = settings.prompts or data_folder("prompts"), settings.ledger.get_secret_value()
    if not (folder / EXAMPLES).is_file():
        raise ConfigError(f"There is no {folder / EXAMPLES}; mend `prompts` in the configuration.")
    lines = (folder / EXAMPLES).read_text(encoding="utf-8").splitlines()
    return EmbeddedModel(
        examples(lines, name=EXAMPLES), corrections=(lambda: _corrections(ledger)) if corrections else tuple
    )


def _corrections(ledger: str) -> tuple[Example, ...]:
    opened = SqlLedger.open(ledger)
    try:
        return tuple(
            Example.model_validate(
                {
                    "text": said(one.text),
                    "category": one.category,
                    "severity": one.severity,
                    "actionability": "act",
                }
            )
            for one in opened.pool.taught()
        )
    finally:
        opened.close()


def purse(settings: Settings) -> RedisPurse | None:
    """Where budgets are counted: beside the queues. None where only `up` would start a broker."""
    address = settings.broker.get_secret_value()
    return None if address == EMBEDDED else RedisPurse(address, prefix=settings.key_prefix)


def answers(settings: Settings) -> RedisAnswers | None:
    """Where answers are remembered, under the same condition."""
    address = settings.broker.get_secret_value()
    return None if address == EMBEDDED else RedisAnswers(address, prefix=settings.key_prefix)


def maker_of(settings: Settings, model: str, prompt: str) -> Maker:
    """What `evals` scores: the embedded model as a learner, or a language model under a prompt."""
    if model == LOCAL:
        return learner
    folder = settings.prompts or data_folder("prompts")
    path = folder / f"{prompt}.md"
    if not path.is_file():
        raise ConfigError(f"There is no prompt {path}; name one as triage/v1.")
    file = prompt_file(prompt, path.read_text(encoding="utf-8"))
    from connectors.litellm.model import LiteLLMModel

    return asked_of(LiteLLMModel(model, timeout_s=60, api_base=settings.models.api_base), file)


def prompt_named(settings: Settings, name: str) -> PromptFile | None:
    """The prompt file of this name, as triage/v1; None where there is none."""
    path = (settings.prompts or data_folder("prompts")) / f"{name}.md"
    return prompt_file(name, path.read_text(encoding="utf-8")) if name and path.is_file() else None


def rows_of(data: Path) -> Mapping[str, Sequence[Row]]:
    """The labelled sets of a folder. Raises ConfigError where there is none."""
    return labelled_sets(data)


def shipped_reader(policy: Policy) -> tuple[Assess, Learn]:
    """The embedded model as shipped, for many texts at once: needs no configuration."""
    from connectors.embedded.reader import reader  # numpy, which only figures need

    lines = (data_folder("prompts") / EXAMPLES).read_text(encoding="utf-8").splitlines()
    return reader(examples(lines, name=EXAMPLES), policy.categories)


def mailer(settings: Settings) -> SmtpMailer | None:
    """What reports are mailed through; None where no server is named."""
    found = settings.mail
    if found is None:
        return None
    return SmtpMailer(
        SmtpConfig(
            host=found.host,
            port=found.port,
            sender=found.sender,
            user=found.user,
            password=found.password.get_secret_value(),
            tls=found.tls,
            ca=found.ca,
        )
    )


def reports_for_nobody(settings: Settings) -> tuple[str, ...]:
    """Why the reports of the policies in force can't be mailed, as sentences."""
    with closing(open_ledger(settings)) as ledger:
        policies = in_force(settings, ledger.promises, now(), keep=False).policies
    return tuple(unmailed(settings.mail, policies.values()))


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidates:
    """The candidates of a policy, in its order. `language` makes each language model once: it knows of its outages."""

    local: Model
    language: Callable[[str, float], Model]

    def __call__(self, policy: Policy) -> Sequence[Model]:
        timeout_s = policy.model.timeout.total_seconds()
        return [
            self.local if name == LOCAL else self.language(name, timeout_s)
            for name in policy.model.candidates
        ]


def candidates(settings: Settings, local: Model) -> Candidates:
    @cache
    def language(name: str, timeout_s: float) -> Model:
        from connectors.litellm.model import LiteLLMModel

        return LiteLLMModel(name, timeout_s=timeout_s, api_base=settings.models.api_base)

    return Candidates(local=local, language=language)


# --- vendors --------------------------------------------------------------------------------------------------


def _pace(settings: Settings) -> Pace:
    timing = settings.timing
    return Pace(overlap=timing.overlap, settle=timing.vendor_settle, look_back=timing.look_back)


def _match(policies: Mapping[str, Policy], desk: str, joined_by: str) -> str:
    """The desk's query for the tickets of all policies; empty if one of them takes every ticket."""
    matches = [policy.scope.tickets.match for policy in policies.values() if policy.scope.desk == desk]
    return joined_by.join(dict.fromkeys(matches)) if all(matches) else ""


def _datadog(settings: Settings) -> DatadogClient | None:
    found = settings.datadog
    if found is None:
        return None
    from connectors.datadog.client import DatadogClient, DatadogConfig

    return DatadogClient(
        DatadogConfig(
            url=found.url, api_key=found.api_key.get_secret_value(), app_key=found.app_key.get_secret_value()
        )
    )


def _splunk(settings: Settings) -> SplunkClient | None:
    found = settings.splunk
    if found is None:
        return None
    from connectors.splunk.client import SplunkClient, SplunkConfig

    return SplunkClient(SplunkConfig(url=found.url, token=found.token.get_secret_value(), ca=found.ca))


def _pagerduty(settings: Settings) -> PagerDutyClient | None:
    found = settings.pagerduty
    if found is None:
        return None
    from connectors.pagerduty.client import PagerDutyClient, PagerDutyConfig

    return PagerDutyClient(
        PagerDutyConfig(url=found.url, api_key=found.token.get_secret_value(), from_email=found.sender)
    )


def _servicenow(settings: Settings, policies: Mapping[str, Policy]) -> ServiceNowClient | None:
    found = settings.servicenow
    if found is None:
        return None
    from connectors.servicenow.client import ServiceNowClient, ServiceNowConfig

    return ServiceNowClient(
        ServiceNowConfig(
            url=found.url,
            user=found.user,
            password=found.password.get_secret_value(),
            match=_match(policies, "servicenow", "^NQ"),
            close_code=found.close_code,
            overlap=settings.timing.overlap,
            look_back=settings.timing.look_back,
        )
    )


def _jira(settings: Settings, policies: Mapping[str, Policy]) -> JiraClient | None:
    found = settings.jira
    if found is None:
        return None
    from connectors.jira.client import JiraClient, JiraConfig

    return JiraClient(
        JiraConfig(
            url=found.url,
            user=found.user,
            token=found.token.get_secret_value(),
            project=found.project,
            match=_match(policies, "jira", " OR "),
            change_project=found.change_project,
            change_type=found.change_type,
            ticket_type=found.ticket_type,
            service_project=found.service_project,
            fields=found.fields,
            overlap=found.overlap,
            look_back=settings.timing.look_back,
        )
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Connected:
    """What is read and written outside under the policies in force."""

    sources: Mapping[str, AlertSource]
    desks: Mapping[str, Desk]
    directories: Mapping[str, Directory]
    marked: Mapping[str, Marked]
    cmdb: Cmdb | None
    logs: Mapping[str, LogSearch]
    clients: Sequence[Closing]


def _connect(settings: Settings, policies: Mapping[str, Policy]) -> _Connected:  # noqa: PLR0915 - imports and one table of what is connected
    """Makes clients; nothing is asked yet."""
    from connectors.datadog.logs import DatadogLogs
    from connectors.datadog.source import DatadogSource
    from connectors.jira.desk import JiraDesk
    from connectors.jira.directory import JiraDirectory
    from connectors.jira.marks import JiraMarks
    from connectors.jira.source import JiraSource
    from connectors.pagerduty.desk import PagerDutyDesk
    from connectors.pagerduty.marks import PagerDutyMarks
    from connectors.pagerduty.source import PagerDutySource
    from connectors.servicenow.cmdb import ServiceNowCmdb
    from connectors.servicenow.desk import ServiceNowDesk
    from connectors.servicenow.directory import ServiceNowDirectory
    from connectors.servicenow.marks import ServiceNowMarks
    from connectors.servicenow.source import ServiceNowSource
    from connectors.splunk.logs import SplunkLogs
    from connectors.splunk.source import SplunkSource

    datadog, splunk, pagerduty = _datadog(settings), _splunk(settings), _pagerduty(settings)
    servicenow, jira = _servicenow(settings, policies), _jira(settings, policies)
    pace = _pace(settings)
    sources: dict[str, AlertSource] = {}
    desks: dict[str, Desk] = {}
    directories: dict[str, Directory] = {}
    marked: dict[str, Marked] = {}
    logs: dict[str, LogSearch] = {}
    cmdb: Cmdb | None = None
    if datadog:
        sources["datadog"] = DatadogSource(client=datadog, clock=now, pace=pace)
        logs["datadog"] = DatadogLogs(client=datadog, clock=now)
    if splunk:
        sources["splunk"] = SplunkSource(client=splunk, clock=now, pace=pace)
        logs["splunk"] = SplunkLogs(client=splunk, clock=now)
    if pagerduty:
        sources["pagerduty"] = PagerDutySource(client=pagerduty, clock=now, pace=pace)
        desks["pagerduty"] = PagerDutyDesk(client=pagerduty, clock=now, pace=pace)
        marked["pagerduty"] = PagerDutyMarks(pagerduty, clock=now)
    if servicenow:
        sources["servicenow"] = ServiceNowSource(servicenow, clock=now)
        desks["servicenow"] = ServiceNowDesk(servicenow, clock=now)
        directories["servicenow"] = ServiceNowDirectory(servicenow)
        marked["servicenow"] = ServiceNowMarks(servicenow)
        cmdb = ServiceNowCmdb(servicenow)
    if jira:
        sources["jira"] = JiraSource(jira, clock=now)
        desks["jira"] = JiraDesk(jira, clock=now)
        directories["jira"] = JiraDirectory(jira)
        marked["jira"] = JiraMarks(jira)
    used = {name for policy in policies.values() for name in policy.scope.sources}
    needed = {policy.scope.desk for policy in policies.values()}
    recorded = {p.report.record.partition(":")[0] for p in policies.values() if p.report and p.report.record}
    return _Connected(
        sources={name: source for name, source in sources.items() if name in used},
        desks={name: desk for name, desk in desks.items() if name in needed | recorded},
        directories=directories,
        marked={name: found for name, found in marked.items() if name in needed | recorded},
        cmdb=cmdb,
        logs=logs,
        clients=[client for client in (datadog, splunk, pagerduty, servicenow, jira) if client is not None],
    )


def open_parts(settings: Settings, *, keep: bool = False) -> Parts:
    """Everything that a process works with. Only the ledger is asked, for policies in force; a worker has it `keep`
    what holds, a command writes nothing.
    """
    ledger = open_ledger(settings)
    found = in_force(settings, ledger.promises, now(), keep=keep)
    connected = _connect(settings, found.policies)
    local = new_embedded_model(settings)
    return Parts(
        settings=settings,
        worker=place_name(),
        clock=now,
        started=now().replace(microsecond=0),
        ledger=ledger,
        policies=found.policies,
        prompts=found.prompts,
        sources=connected.sources,
        desks=connected.desks,
        directories=connected.directories,
        marked=connected.marked,
        cmdb=connected.cmdb,
        logs=connected.logs,
        models=candidates(settings, local),
        local=local,
        taught=ledger.pool.in_force(),
        purse=purse(settings),
        answers=answers(settings),
        mailer=mailer(settings),
        clients=connected.clients,
    )


def renewed(parts: Parts, found: InForce) -> Parts:
    """The same parts under other policies. Where these read or write elsewhere, connections are made anew; tasks
    that began before go on with the old ones, which end with the process.
    """
    under = replace(parts, policies=found.policies, prompts=found.prompts)
    if found.taught != parts.taught:
        under = _taught_anew(under, found.taught)
    if _places(found.policies) == _places(parts.policies):
        return under
    connected = _connect(parts.settings, found.policies)
    return replace(
        under,
        sources=connected.sources,
        desks=connected.desks,
        directories=connected.directories,
        marked=connected.marked,
        cmdb=connected.cmdb,
        logs=connected.logs,
        clients=[*parts.clients, *connected.clients],
    )


def _taught_anew(parts: Parts, versions: Mapping[str, int]) -> Parts:
    """With another embedded model, which learns when it is first asked; the old one answers the tasks that have it."""
    local, models = new_embedded_model(parts.settings), parts.models
    if isinstance(models, Candidates):
        models = replace(models, local=local)
    return replace(parts, local=local, models=models, taught=versions)


def _places(policies: Mapping[str, Policy]) -> object:
    """What of the policies decides which clients there are, and what they ask for."""
    return [(name, one.scope, one.report and one.report.record) for name, one in policies.items()]


def by_people() -> Mapping[str, str]:
    """Desks whose states only people change back, and why: a rollback lists what it would have to do there."""
    return {
        "pagerduty": "PagerDuty would page people anew for a re-triggered incident; a person decides that."
    }


# --- processes ------------------------------------------------------------------------------------------------


def celery_app(settings: Settings, *, asking: int = 0) -> Celery:
    """The Celery application with its tasks and schedule. Parts are opened in the process that runs a task.

    `asking` is how many models this process may wait for at once.
    """
    from workers.app import new_app, schedule
    from workers.tasks import register

    app = new_app(settings, broker_address(settings))
    lock = threading.Lock()
    opened: dict[int, Current] = {}
    shutdown = Shutdown()
    shutdown.listen()

    def parts() -> Parts:
        with lock:
            if os.getpid() not in opened:
                ours = open_parts(settings, keep=True)
                opened[os.getpid()] = Current(
                    replace(ours, stopping=shutdown, crowd=crowd_for(asking)), renewed
                )
            current = opened[os.getpid()]
        return current()

    register(app, parts)
    # All that is configured: which policies use it may change while the scheduler runs.
    feeds = _configured(settings, "datadog", "splunk", "pagerduty", "servicenow", "jira")
    desks = _configured(settings, "servicenow", "jira", "pagerduty")
    app.conf.beat_schedule = schedule(settings, feeds, desks)
    return app


def _configured(settings: Settings, *names: str) -> tuple[str, ...]:
    return tuple(name for name in names if getattr(settings, name) is not None)


# So many a case or two make: Python's own 700 are a collection every millisecond.
_YOUNG_OBJECTS = 20_000


def warm_up(settings: Settings, queues: Sequence[str]) -> set[str]:
    """What a worker does before its first message, and before it forks: a child that had to do it anew, after another
    was killed, would take half a second from the rest. Its connections end here; each process has its own. Gives the
    models that policies ask, as far as these queues ask any.
    """
    for part in _OF_A_WORKER:
        import_module(part)
    with closing(open_parts(settings)) as parts:
        policies = parts.policies.values() if "assess" in queues else ()
    asked = {name for policy in policies for name in policy.model.candidates}
    if LOCAL in asked:
        new_embedded_model(settings).learn()
    if asked - {LOCAL}:
        from connectors.litellm.model import warm

        warm()
    # What was imported stays: a collection that walks through it stops every thread, and in a child copies its pages.
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)
    return asked


# --- doctor ---------------------------------------------------------------------------------------------------


def examine(settings: Settings, *, models: bool = False) -> tuple[Check, ...]:
    """Everything that is configured, tried once with reads alone. `models` are asked a question, which costs money."""
    with closing(open_ledger(settings)) as ledger:
        checks = [*ledger.check(), _broker_check(settings)]
        found = in_force(settings, ledger.promises, now(), keep=False)
    policies = found.policies
    checks = [*_of_policies(found), *checks]
    with closing(open_parts(settings)) as parts:
        checks += [parts.mailer.check()] if parts.mailer else []
        told = unmailed(settings.mail, policies.values())
        checks += [Check(what="mail", ok=True, warns=True, detail=why) for why in told]
        checks += list(_asked(parts)) if models else []
        checks += _of_connections(parts)
    checks += [
        Check(
            what=name,
            ok=False,
            detail=f"a policy names {name}, but it is not configured; add `{name}:` to the configuration",
        )
        for name in sorted({n for p in policies.values() for n in (*p.scope.sources, p.scope.desk)})
        if getattr(settings, name) is None
    ]
    return tuple(checks)


def _of_connections(parts: Parts) -> Iterator[Check]:
    """What policies read and write, with the rights that they need there."""
    policies = parts.policies.values()
    connections: dict[str, AlertSource | Desk] = {**parts.sources, **parts.desks}
    for name, connection in connections.items():
        users = [p for p in policies if name in (*p.scope.sources, p.scope.desk)]
        yield from _needed(connection.check(), users)
    for name, log_search in parts.logs.items():
        readers = [p for p in policies if name in p.scope.sources and "logs" in p.scope.data.visible]
        yield from _needed(log_search.check(), readers) if readers else ()


def _of_policies(found: InForce) -> list[Check]:
    """Each policy with the version that is in force, and each file that is refused."""
    return [
        *(
            Check(
                what=f"policy {policy.use_case}",
                ok=True,
                detail=f"version {policy.version}, autonomy {policy.autonomy}",
            )
            for policy in found.policies.values()
        ),
        *(Check(what="policy file", ok=False, detail=one.sentence) for one in found.refused),
    ]


def _asked(parts: Parts) -> Iterator[Check]:
    """Each candidate of each policy, asked once about nothing in particular."""
    tried: set[str] = set()
    for policy in parts.policies.values():
        file = parts.prompts[f"{policy.model.question}/{policy.model.prompt}"]
        for model in parts.models(policy):
            if model.name not in tried:
                tried.add(model.name)
                yield tried_once(model, file, policy)


def _needed(checks: Sequence[Check], users: Sequence[Policy]) -> list[Check]:
    """The checks of the rights that the highest autonomy of these policies needs: the rest is not asked for."""
    highest = max((AUTONOMIES.index(policy.autonomy) for policy in users), default=0)
    return [check for check in checks if AUTONOMIES.index(check.needs) <= highest]


def _broker_check(settings: Settings) -> Check:
    address = settings.broker.get_secret_value()
    if address == EMBEDDED:
        return Check(what="broker", ok=True, detail="embedded: started by countersign up")
    ok = broker_answers(address)
    return Check(
        what="broker", ok=ok, detail="answers" if ok else "does not answer; start Redis or mend `broker`"
    )
