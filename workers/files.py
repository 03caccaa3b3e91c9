"""Files: the policies and prompts that people edit, found through the settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

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


def read_policies(settings: Settings) -> dict[str, Policy]:
    """The policies by use case, in the order of their files. Raises PolicyError with every mistake."""
    named = settings.policies or [data_folder("policies")]
    files = [file for path in named for file in (sorted(path.glob("*.yaml")) if path.is_dir() else [path])]
    policies: dict[str, Policy] = {}
    for file in files:
        if not file.is_file():
            raise ConfigError(f"There is no policy file {file}; mend `policies` in the configuration.")
        policy = load_policy(file.read_text(encoding="utf-8"), name=str(file))
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
