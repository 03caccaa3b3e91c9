"""Files: the policies and prompts that people edit, found through the settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from countersign.bundles import Bundle, BundleError, read_bundle, verify
from countersign.errors import ConfigError, Transient
from countersign.policy import Policy, PolicyError, load_policy
from countersign.prompts import PromptFile, prompt_file
from workers.settings import Settings

if TYPE_CHECKING:
    from countersign.promises import PromiseBook

_log = structlog.get_logger()


def data_folder(name: str) -> Path:
    """policies/ or prompts/: beside the packages in a checkout, inside `countersign` in an installed wheel."""
    root = Path(__file__).resolve().parent.parent
    for folder in (root / "countersign" / "_data" / name, root / name):
        if folder.is_dir():
            return folder
    raise ConfigError(f"The folder {name}/ is not there; name one in the configuration.")


def read_policies(settings: Settings) -> dict[str, Policy]:
    """The policies by use case, in the order of their files. Raises PolicyError with every mistake."""
    return _by_use_case((file, read_policy(file)) for file in policy_files(settings))


def policies_in_force(settings: Settings, book: PromiseBook, now: datetime) -> dict[str, Policy]:
    """As `read_policies`, but a file that can't be used leaves the last good policy of its in force, and says so.

    With `keys` in the configuration a policy has to be signed. Raises what is wrong where there is no good one.
    """
    return _by_use_case((file, _in_force(file, settings, book, now)) for file in policy_files(settings))


def _in_force(file: Path, settings: Settings, book: PromiseBook, now: datetime) -> Policy:
    name = str(file.resolve())
    try:
        policy = read_policy(file)
        if settings.keys:
            last = _last_good(book, file=name, use_case=policy.use_case)
            verify(policy, bundle_of(file), keys=settings.keys, in_force=last, now=now)
    except (PolicyError, BundleError, UnicodeDecodeError) as problem:
        last = _last_good(book, file=name)
        if last is None:
            raise
        _log.error(
            "policy.refused",
            file=str(file),
            problem=str(problem),
            goes_on_with=f"{last.use_case} v{last.version}",
        )
        return last
    try:
        text = file.read_text(encoding="utf-8")
        book.keep_policy(
            policy.use_case, policy.version, content_hash=policy.content_hash, file=name, text=text
        )
    except (Transient, ConfigError) as problem:
        # The file itself is good; its copy is kept when the ledger is back.
        _log.warning("policy.not_kept", file=str(file), problem=str(problem))
    return policy


def _last_good(book: PromiseBook, *, file: str = "", use_case: str = "") -> Policy | None:
    kept = book.good_policy(file=file, use_case=use_case)
    return load_policy(kept, name=f"{file}, as last kept") if kept else None


def bundle_of(file: Path) -> Bundle | None:
    """The signatures beside a policy file (FILE.sig); None if there are none."""
    beside = signatures_of(file)
    if not beside.is_file():
        return None
    return read_bundle(beside.read_text(encoding="utf-8"), name=str(beside))


def signatures_of(file: Path) -> Path:
    return file.with_name(f"{file.name}.sig")


def policy_files(settings: Settings) -> list[Path]:
    named = settings.policies or [data_folder("policies")]
    return [file for path in named for file in (sorted(path.glob("*.yaml")) if path.is_dir() else [path])]


def read_policy(file: Path) -> Policy:
    if not file.is_file():
        raise ConfigError(f"There is no policy file {file}; mend `policies` in the configuration.")
    return load_policy(file.read_text(encoding="utf-8"), name=str(file))


def _by_use_case(found: Iterable[tuple[Path, Policy]]) -> dict[str, Policy]:
    policies: dict[str, Policy] = {}
    for file, policy in found:
        if policy.use_case in policies:
            raise ConfigError(
                f"{file}: use case {policy.use_case} has a policy already; a use case has one file."
            )
        policies[policy.use_case] = policy
    if not policies:
        raise ConfigError("There is no policy; put one into the folder that `policies` names.")
    return policies


def read_prompts(settings: Settings, policies: Mapping[str, Policy]) -> dict[str, PromptFile]:
    """The prompts that the policies name, by `question/version`."""
    folder = settings.prompts or data_folder("prompts")
    prompts = {}
    for policy in policies.values():
        name = f"{policy.model.question}/{policy.model.prompt}"
        file = folder / f"{name}.md"
        if not file.is_file():
            raise ConfigError(
                f"Policy {policy.use_case} names prompt {name}, but there is no {file}; add it."
            )
        prompts[name] = prompt_file(name, file.read_text(encoding="utf-8"))
    return prompts
