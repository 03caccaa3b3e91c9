"""Files: the policies and prompts that people edit, found through the settings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from countersign.bundles import Bundle, read_bundle
from countersign.errors import ConfigError
from countersign.policy import Policy, load_policy
from countersign.prompts import PromptFile, prompt_file
from workers.settings import Settings


def data_folder(name: str) -> Path:
    """policies/ or prompts/: beside the packages in a checkout, inside `countersign` in an installed wheel."""
    root = Path(__file__).resolve().parent.parent
    for folder in (root / "countersign" / "_data" / name, root / name):
        if folder.is_dir():
            return folder
    raise ConfigError(f"The folder {name}/ is not there; name one in the configuration.")


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


def by_use_case(found: Iterable[tuple[Path, Policy]]) -> dict[str, Policy]:
    """Raises ConfigError where two files have one use case, or there is none."""
    policies: dict[str, Policy] = {}
    files: dict[str, Path] = {}
    for file, policy in found:
        first = files.setdefault(policy.use_case, file)
        if policy.use_case in policies:
            raise ConfigError(
                f"{first} and {file} are both policies of {policy.use_case}; remove one, or give it another use_case."
            )
        policies[policy.use_case] = policy
    if not policies:
        raise ConfigError("There is no policy; put one into the folder that `policies` names.")
    return policies


def prompt_of(settings: Settings, policy: Policy) -> PromptFile:
    """The prompt that a policy names, as `question/version`. Raises ConfigError if it is not there."""
    name = prompt_name(policy)
    file = prompt_path(settings, name)
    if not file.is_file():
        raise ConfigError(f"Policy {policy.use_case} names prompt {name}, but there is no {file}; add it.")
    return prompt_file(name, file.read_text(encoding="utf-8"))


def prompt_name(policy: Policy) -> str:
    return f"{policy.model.question}/{policy.model.prompt}"


def prompt_path(settings: Settings, name: str) -> Path:
    return (settings.prompts or data_folder("prompts")) / f"{name}.md"
