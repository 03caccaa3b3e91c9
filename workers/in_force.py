"""In force: the policies that hold now, their prompts and what was learnt, and how a running process takes up changes.

A change is taken up by the tasks that start within a few seconds of it, each of which sees one version as long as
it runs. What can't be used changes nothing: the last good policy goes on, and the log, `countersign status` and
`countersign doctor` say so.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import structlog

from countersign.bundles import BundleError, Edition, verify
from countersign.errors import ConfigError, CountersignError, Transient
from countersign.policy import Policy, PolicyError, load_policy
from countersign.prompts import PromptFile
from workers.files import (
    bundle_of,
    by_use_case,
    policy_files,
    prompt_name,
    prompt_of,
    prompt_path,
    read_policy,
    signatures_of,
)
from workers.settings import Settings

if TYPE_CHECKING:
    from countersign.promises import PromiseBook
    from workers.parts import Parts

_log = structlog.get_logger()
LOOK_EVERY_S = 2.0
# A file that changed a moment ago may be half written, and half a policy may be a valid and wider one.
SETTLED_S = 1.0
# What was refused may become good without a change of its file: a prompt is added, a signature begins to count.
AGAIN_S = 30.0
UNUSABLE = (PolicyError, BundleError, ConfigError, UnicodeDecodeError, OSError)


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """A policy file that can't be used, why in one sentence, and what goes on in its place."""

    file: str
    why: str
    goes_on_with: str

    @property
    def sentence(self) -> str:
        return f"{self.file} is refused, {self.goes_on_with} goes on: {self.why}"


@dataclass(frozen=True, kw_only=True, slots=True)
class InForce:
    """What holds now: policies by use case, prompts by `question/version`, versions of the pool by use case."""

    policies: Mapping[str, Policy]
    prompts: Mapping[str, PromptFile]
    refused: tuple[Refused, ...] = ()
    taught: Mapping[str, int] = field(default_factory=dict)


def in_force(settings: Settings, book: PromiseBook, now: datetime, *, keep: bool = True) -> InForce:
    """The policies as their files are, but of a file that can't be used the last good one, told in `refused`.

    With `keys` in the configuration a policy has to be signed. Raises what is wrong where there is no good one.
    `keep`: whether what holds is remembered as the last good one.
    """
    refused: list[Refused] = []
    found: list[tuple[Path, Edition]] = []
    for file in policy_files(settings):
        try:
            found.append((file, _usable(file, settings, book, now)))
        except UNUSABLE as problem:
            last = _before(book, file)
            if last is None:
                raise
            prompt = last.prompt or prompt_of(settings, last.policy)
            found.append((file, Edition(policy=last.policy, prompt=prompt)))
            refused.append(Refused(file=str(file), why=one_sentence(problem), goes_on_with=last.name))
    policies = by_use_case((file, edition.policy) for file, edition in found)
    bad = {one.file for one in refused}
    for file, edition in found if keep else ():
        if str(file) not in bad:
            _keep(file, edition, book)
    return InForce(
        policies=MappingProxyType(policies),
        prompts=MappingProxyType(_by_name(edition.prompt for _, edition in found)),
        refused=tuple(refused),
    )


def chosen(settings: Settings, book: PromiseBook, now: datetime, use_case: str = "") -> list[Policy]:
    """The policies in force, or the one that is named. Raises ConfigError for a name that none has."""
    policies = in_force(settings, book, now, keep=False).policies
    if use_case and use_case not in policies:
        raise ConfigError(f"There is no use case {use_case}; the policies name {', '.join(policies)}.")
    return [policy for policy in policies.values() if use_case in ("", policy.use_case)]


def one_sentence(problem: Exception) -> str:
    """The first of its sentences, and how many more there are."""
    if isinstance(problem, UnicodeDecodeError):
        return "it is not UTF-8; save it as UTF-8."
    first, *more = str(problem).splitlines() or [type(problem).__name__]
    return f"{first} ({len(more)} more; `countersign policy check` lists them.)" if more else first


def edition_of(file: Path, settings: Settings) -> Edition:
    """A policy file and the prompt that it names, as they are. Raises what is wrong with either."""
    policy = read_policy(file)
    return Edition(policy=policy, prompt=prompt_of(settings, policy))


def _usable(file: Path, settings: Settings, book: PromiseBook, now: datetime) -> Edition:
    edition = edition_of(file, settings)
    if settings.keys:
        last = last_good(book, file=str(file.resolve()), use_case=edition.policy.use_case)
        verify(edition, bundle_of(file), keys=settings.keys, in_force=last, now=now)
    else:
        _refuse_another(edition, book)
    return edition


def _before(book: PromiseBook, file: Path) -> Edition | None:
    """What goes on for a refused file: of its use case where that can be read, else what was last read from it."""
    try:
        last = last_good(book, use_case=read_policy(file).use_case)
    except UNUSABLE:
        last = None
    return last or last_good(book, file=str(file.resolve()))


def _refuse_another(edition: Edition, book: PromiseBook) -> None:
    """One version says one thing: what was decided under it can be looked up, on every worker."""
    policy = edition.policy
    known = book.policy_hashes(policy.use_case, policy.version)
    if known and policy.content_hash not in known:
        raise ConfigError(
            f"Policy {edition.name} says something else than the version {policy.version} that was in force; "
            "raise `version`."
        )


def _by_name(prompts: Iterable[PromptFile | None]) -> dict[str, PromptFile]:
    """Raises ConfigError where two policies go on with two texts of one prompt."""
    found: dict[str, PromptFile] = {}
    for prompt in prompts:
        if prompt is not None and found.setdefault(prompt.name, prompt) != prompt:
            raise ConfigError(
                f"Two policies are in force with two texts of prompt {prompt.name}; give the new text a version of "
                "its own."
            )
    return found


def _keep(file: Path, edition: Edition, book: PromiseBook) -> None:
    policy = edition.policy
    try:
        book.keep_policy(
            policy.use_case,
            policy.version,
            content_hash=policy.content_hash,
            file=str(file.resolve()),
            text=file.read_text(encoding="utf-8"),
            prompt=edition.prompt.text if edition.prompt else "",
        )
    except (Transient, ConfigError) as problem:
        # The files themselves are good; their copy is kept when the ledger is back.
        _log.warning("policy.not_kept", file=str(file), problem=str(problem))


def last_good(book: PromiseBook, *, file: str = "", use_case: str = "") -> Edition | None:
    """The newest that was in force of the use case; of an unreadable file, of the one that was last read from it."""
    kept = book.good_policy(file=file, use_case=use_case)
    if kept is None:
        return None
    policy = load_policy(kept.text, name=f"{file or use_case}, as last kept")
    if not use_case:
        return last_good(book, use_case=policy.use_case)
    return Edition(
        policy=policy, prompt=PromptFile(prompt_name(policy), kept.prompt) if kept.prompt else None
    )


class Current:
    """The parts of a process as each task needs them: under the policies, and taught what is in force when it starts.

    `renewed` gives the parts under other ones. Safe on threads: one looks, the others go on meanwhile.
    """

    def __init__(self, parts: Parts, renewed: Callable[[Parts, InForce], Parts]) -> None:
        self._parts, self._renewed = parts, renewed
        self._seen: tuple[object, ...] = ()
        self._looked = self._read = float("-inf")
        self._told: tuple[str, ...] = ()
        self._lock = threading.Lock()

    def __call__(self) -> Parts:
        if self._parts.monotonic() - self._looked >= LOOK_EVERY_S and self._lock.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._lock.release()
        return self._parts

    def _look(self) -> None:
        parts = self._parts
        self._looked = parts.monotonic()
        try:
            seen = tuple(_state(parts))
            again = bool(self._told) and self._looked - self._read >= AGAIN_S
            if (seen == self._seen and not again) or _unsettled(parts):
                return
            found = in_force(parts.settings, parts.ledger.promises, parts.clock())
            found = replace(found, taught=parts.ledger.pool.in_force())
            self._read, self._seen = self._looked, tuple(_state(parts))
        except Transient as problem:
            # Without the ledger nobody can say what is in force; what was, is.
            self._tell((f"the ledger does not say what is in force; what was goes on: {problem}",))
            return
        except (CountersignError, UnicodeDecodeError, OSError) as problem:
            self._read, self._seen = self._looked, seen
            self._tell((f"all policies go on as they were: {one_sentence(problem)}",))
            return
        self._tell(tuple(one.sentence for one in found.refused))
        holds = (parts.policies, parts.prompts, parts.taught)
        if (found.policies, found.prompts, found.taught) != holds:
            self._take_up(found)

    def _take_up(self, found: InForce) -> None:
        old, taught = self._parts.policies, self._parts.taught
        self._parts = self._renewed(self._parts, found)
        for use_case in sorted(old.keys() | found.policies.keys()):
            before, after = old.get(use_case), found.policies.get(use_case)
            if before != after:
                _log.warning("policy.taken_up", use_case=use_case, was=_version(before), now=_version(after))
        for use_case, version in found.taught.items():
            if (was := taught.get(use_case, 0)) != version:
                _log.warning("pool.taken_up", use_case=use_case, was=was, now=version)

    def _tell(self, refused: tuple[str, ...]) -> None:
        """Once for each thing that is wrong, not at every look."""
        for sentence in refused:
            if sentence not in self._told:
                _log.error("policy.refused", problem=sentence)
        self._told = refused


def _version(policy: Policy | None) -> str:
    return f"v{policy.version} ({policy.fingerprint})" if policy else "none"


def _state(parts: Parts) -> Iterator[object]:
    """What changes when a policy, its prompt or the pool does; where they are signed, what others took up too."""
    for one in _files(parts):
        yield (
            (str(one), one.stat().st_mtime_ns, one.stat().st_size, one.stat().st_ino)
            if one.is_file()
            else str(one)
        )
    if parts.settings.keys:
        yield parts.ledger.promises.policies_kept()
    yield tuple(sorted(parts.ledger.pool.in_force().items()))


def _unsettled(parts: Parts) -> bool:
    return any(
        abs(time.time() - file.stat().st_mtime) < SETTLED_S for file in _files(parts) if file.is_file()
    )


def _files(parts: Parts) -> list[Path]:
    policies = policy_files(parts.settings)
    prompts = [prompt_path(parts.settings, name) for name in parts.prompts]
    return [*policies, *map(signatures_of, policies), *prompts]
