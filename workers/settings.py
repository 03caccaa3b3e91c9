"""Settings: one YAML file for what may be read by everybody, environment variables or secret files for the rest."""

from __future__ import annotations

import logging
import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    YamlConfigSettingsSource,
)
from yaml import YAMLError

from countersign.errors import ConfigError
from countersign.policy.durations import parse_duration

Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
CONFIG_VARIABLE = "COUNTERSIGN_CONFIG"
SECRETS_VARIABLE = "COUNTERSIGN_SECRETS_DIR"
EMBEDDED = "embedded"


def _broker(address: SecretStr) -> SecretStr:
    text = address.get_secret_value()
    try:
        known = text == EMBEDDED or (
            urlsplit(text).scheme in ("redis", "rediss") and urlsplit(text).port != 0
        )
    except ValueError:
        known = False
    if not known:  # without what is wrong in it: that may be the password
        raise ValueError(f"write redis://:PASSWORD@HOST:6379/0, or {EMBEDDED}")
    return address


def _level(name: str) -> str:
    if name.upper() not in logging.getLevelNamesMapping():
        raise ValueError("write DEBUG, INFO, WARNING or ERROR")
    return name


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Datadog(_Part):
    url: str = Field(description="Address of the API, as https://api.datadoghq.eu.")
    api_key: SecretStr = Field(default=SecretStr(""), description="API key.")
    app_key: SecretStr = Field(default=SecretStr(""), description="Application key.")


class Splunk(_Part):
    url: str = Field(description="Address of splunkd, as https://splunk.example.com:8089.")
    token: SecretStr = Field(default=SecretStr(""), description="Token of the user.")
    ca: str = Field(default="", description="PEM file of the authority that signed splunkd's certificate.")


class PagerDuty(_Part):
    url: str = Field(
        default="https://api.pagerduty.com",
        description="Address of the API; https://api.eu.pagerduty.com for an account in the EU.",
    )
    token: SecretStr = Field(default=SecretStr(""), description="API key.")
    sender: str = Field(description="Mail address of the PagerDuty user whose name our notes carry (From).")


class ServiceNow(_Part):
    url: str = Field(description="Address of the instance, as https://acme.service-now.com.")
    user: str = Field(description="User ID of the integration's user.")
    password: SecretStr = Field(default=SecretStr(""), description="Its password.")
    close_code: str = Field(
        default="Solved (Permanently)", description="What a closed incident gets; one of your instance's."
    )


class Jira(_Part):
    url: str = Field(description="Address of the site, as https://acme.atlassian.net.")
    user: str = Field(description="Mail address of the integration's account.")
    token: SecretStr = Field(default=SecretStr(""), description="Its API token.")
    project: str = Field(description="Key of the project, as OPS.")
    change_project: str = Field(default="", description="Project of change issues; the same if left out.")
    change_type: str = Field(default="Change", description="Issue type of change issues.")
    ticket_type: str = Field(default="Task", description="Issue type of tickets that are opened.")
    service_project: bool = Field(
        default=True,
        description="A service management project: a comment not marked internal reaches the customer.",
    )
    overlap: Duration = Field(
        default=timedelta(hours=2),
        description="How far back each read goes again: its search may show a change hours late.",
    )
    fields: dict[str, str] = Field(
        default={
            "group": "label:team",
            "category": "label:category",
            "ci": "label:ci",
            "service": "components",
        },
        description="Where group, category, service and ci live: label:PREFIX, components or a field's id.",
    )


class Models(_Part):
    api_base: str = Field(
        default="", description="Address of an OpenAI-compatible endpoint, if not the provider's own."
    )


class Mail(_Part):
    """The server that scheduled reports are mailed through."""

    host: str = Field(description="Name of the server.")
    port: int = Field(default=587, ge=1, le=65535, description="Its port.")
    sender: str = Field(description="Address that reports are sent from, as countersign@example.com.")
    user: str = Field(default="", description="Account at the server; none if left out.")
    password: SecretStr = Field(default=SecretStr(""), description="Its password.")
    tls: Literal["starttls", "implicit", "none"] = Field(
        default="starttls", description="starttls (port 587), implicit (port 465) or none."
    )
    ca: str = Field(default="", description="PEM file of the authority that signed the server's certificate.")


class Timing(_Part):
    """How often, how long. The lease is more than twice the longest HTTP timeout."""

    pull: Duration = Field(default=timedelta(seconds=30), description="How often each source is read.")
    watch: Duration = Field(
        default=timedelta(seconds=30), description="How often each desk is asked what people changed."
    )
    sweep: Duration = Field(
        default=timedelta(seconds=5), description="How often what is due and held by nobody is woken again."
    )
    settle: Duration = Field(
        default=timedelta(seconds=20),
        description="How long a new case waits for more of its kind; a ticket that people opened does not.",
    )
    lease: Duration = Field(
        default=timedelta(minutes=2), description="How long a worker holds what it took; then another may."
    )
    look_back: Duration = Field(
        default=timedelta(hours=1), description="How far back the first read of a source goes."
    )
    overlap: Duration = Field(
        default=timedelta(minutes=5), description="How far back each read goes again, for late events."
    )
    vendor_settle: Duration = Field(
        default=timedelta(seconds=5),
        description="Newer events are left for the next pull: they may still be reordered.",
    )


class Workers(_Part):
    """Processes and threads of `countersign up`."""

    processes: int = Field(default=2, ge=1, le=64, description="Processes for pulling, acting and watching.")
    model_processes: int = Field(
        default=2,
        ge=1,
        le=64,
        description="Processes that ask models; a case that kills one leaves the others.",
    )
    model_threads: int = Field(
        default=16, ge=1, le=1000, description="Model calls that each of them has under way at once."
    )
    memory_mb: int = Field(default=600, ge=100, description="A worker process above this is replaced.")
    task_limit: Duration = Field(
        default=timedelta(minutes=5),
        description="A task that takes longer is ended, with its process; a worker of threads starts anew.",
    )
    hang_after: Duration = Field(
        default=timedelta(minutes=2),
        description="`up` starts a role anew that has neither taken work nor had room for it for so long.",
    )
    health_port: int = Field(default=8790, ge=0, le=65535, description="Port of GET /healthz; 0 for none.")
    health_host: str = Field(default="127.0.0.1", description="Address that it listens on.")


class Settings(BaseSettings):
    """Everything that `countersign.yaml` may say. Unknown keys are refused."""

    model_config = SettingsConfigDict(
        env_prefix="COUNTERSIGN_", env_nested_delimiter="__", extra="forbid", frozen=True, secrets_dir=None
    )
    ledger: SecretStr = Field(
        default=SecretStr("sqlite:///var/countersign.db"),
        description="Address of the ledger: sqlite:///path or postgresql://…",
    )
    broker: Annotated[SecretStr, AfterValidator(_broker)] = Field(
        default=SecretStr(EMBEDDED), description="redis:// address, or `embedded` for one of our own."
    )
    key_prefix: str = Field(
        default="countersign:", description="What our keys in the broker begin with, where others use it too."
    )
    policies: list[Path] = Field(
        default=[], description="Policy files, or folders of them; the shipped ones if left out."
    )
    keys: dict[str, str] = Field(
        default={},
        description="Person to base64 of their Ed25519 public key; with any, policies must be signed.",
    )
    bots: list[str] = Field(
        default=[],
        description="Accounts of integrations and automations, as the desks name them: what they do is recorded, and "
        "teaches nothing.",
    )
    prompts: Path | None = Field(default=None, description="Folder of prompts; the shipped ones if left out.")
    log_level: Annotated[str, AfterValidator(_level)] = Field(
        default="INFO", description="What is logged: DEBUG, INFO, WARNING or ERROR, and what is worse."
    )
    timing: Timing = Timing()
    workers: Workers = Workers()
    models: Models = Models()
    datadog: Datadog | None = None
    splunk: Splunk | None = None
    pagerduty: PagerDuty | None = None
    servicenow: ServiceNow | None = None
    jira: Jira | None = None
    mail: Mail | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment before secret files before the YAML file."""
        del dotenv_settings  # a .env file in the working folder must not change what production does
        sources: list[PydanticBaseSettingsSource] = [init_settings, env_settings]
        if folder := os.environ.get(SECRETS_VARIABLE):
            sources.append(
                NestedSecretsSettingsSource(
                    file_secret_settings,
                    secrets_dir=folder,
                    secrets_nested_delimiter="__",
                    secrets_prefix="",
                )
            )
        if path := os.environ.get(CONFIG_VARIABLE):
            sources.append(YamlConfigSettingsSource(settings_cls, yaml_file=path))
        return tuple(sources)


def load_settings(path: Path | None = None) -> Settings:
    """Reads the settings. Raises ConfigError with one sentence for each mistake."""
    if path is not None:
        os.environ[CONFIG_VARIABLE] = str(path)
    named = os.environ.get(CONFIG_VARIABLE)
    if named and not Path(named).is_file():
        raise ConfigError(
            f"There is no configuration file {named}; name one with --config or {CONFIG_VARIABLE}."
        )
    try:
        _look_at_secrets()
        return Settings()
    except ValidationError as error:
        raise ConfigError(
            "\n".join(_sentence(named or "settings", dict(e)) for e in error.errors())
        ) from None
    except SettingsError as error:
        raise ConfigError(
            f"The environment or a secret file: {error}; a list or a section is written as JSON there."
        ) from None
    except (TypeError, ValueError):
        raise ConfigError(
            f"{named}: this holds no settings; write one a line, as `log_level: INFO`, in UTF-8."
        ) from None
    except YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f":{where.line + 1}" if where else ""
        raise ConfigError(
            f"{named}{line}: this is not YAML; look for a missing quote or a wrong indent."
        ) from None


def _look_at_secrets() -> None:
    """Refuses secret files that would be passed over; one in capitals is a model provider's own variable.

    A folder that is missing or misspelt would else mean the defaults: an SQLite ledger, an embedded broker.
    """
    named = os.environ.get(SECRETS_VARIABLE)
    if not named:
        return
    if not Path(named).is_dir():
        raise ConfigError(f"There is no folder {named} of secrets; mend {SECRETS_VARIABLE} or mount it.")
    for file in sorted(Path(named).iterdir()):
        if file.name.startswith(".") or not file.is_file():
            continue
        if not os.access(file, os.R_OK):
            raise ConfigError(f"The secret {file} can't be read; let user id {os.getuid()} read it.")
        if file.name.isupper():
            os.environ.setdefault(file.name, file.read_text(encoding="utf-8").strip())
        elif file.name.lower().partition("__")[0] not in Settings.model_fields:
            raise ConfigError(
                f"The secret {file} belongs to no setting; name it after one, as servicenow__password."
            )


def _sentence(file: str, error: dict[str, Any]) -> str:
    place = ".".join(str(step) for step in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{file}: there is no setting {place}; remove it or mend its spelling."
    if error["type"] == "missing":
        variable = "COUNTERSIGN_" + place.upper().replace(".", "__")
        return f"{file}: {place} is missing; write it there or set {variable}."
    return f"{file}: {place}: {error['msg'].removeprefix('Value error, ').rstrip('.')}."
