"""Settings: what stands in the YAML file, in secret files and in the environment, and which of them holds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from countersign.errors import ConfigError
from workers.settings import Settings, load_settings

_YAML = """
ledger: sqlite:///from-yaml.db
log_level: WARNING
servicenow: {url: "https://acme.service-now.com", user: countersign}
"""


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("COUNTERSIGN_")]:
        monkeypatch.delenv(name)
    # Set and taken away, so that what a test leaves is taken away after it.
    for name in ("COUNTERSIGN_CONFIG", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "countersign.yaml"
    path.write_text(_YAML, encoding="utf-8")
    return path


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    monkeypatch.setenv("COUNTERSIGN_SECRETS_DIR", str(folder))
    return folder


def _password(settings: Settings) -> str:
    assert settings.servicenow is not None
    return settings.servicenow.password.get_secret_value()


def test_secret_files_are_named_like_settings(config: Path, secrets: Path) -> None:
    """A file servicenow__password is `password` under `servicenow`, without the line's end; the YAML keeps the rest."""
    (secrets / "servicenow__password").write_text("from-file\n", encoding="utf-8")
    (secrets / "broker").write_text("redis://:pw@valkey:6379/0\n", encoding="utf-8")
    settings = load_settings(config)
    assert _password(settings) == "from-file"
    assert settings.broker.get_secret_value() == "redis://:pw@valkey:6379/0"
    assert settings.servicenow is not None
    assert settings.servicenow.user == "countersign"
    assert settings.log_level == "WARNING"


def test_environment_goes_before_secret_files_before_the_yaml(
    config: Path, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same setting in all three places: the environment holds, without it the file, without that the YAML."""
    assert load_settings(config).ledger.get_secret_value() == "sqlite:///from-yaml.db"
    (secrets / "ledger").write_text("sqlite:///from-file.db", encoding="utf-8")
    assert load_settings(config).ledger.get_secret_value() == "sqlite:///from-file.db"
    monkeypatch.setenv("COUNTERSIGN_LEDGER", "sqlite:///from-environment.db")
    assert load_settings(config).ledger.get_secret_value() == "sqlite:///from-environment.db"


def test_the_environment_reaches_into_a_section(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """COUNTERSIGN_SERVICENOW__PASSWORD adds the password to what the YAML says of servicenow."""
    monkeypatch.setenv("COUNTERSIGN_SERVICENOW__PASSWORD", "from-environment")
    assert _password(load_settings(config)) == "from-environment"


def test_a_key_in_capitals_is_the_providers_own(
    config: Path, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file OPENAI_API_KEY becomes that variable, which the model's library reads; one that is set stays."""
    (secrets / "OPENAI_API_KEY").write_text("sk-file\n", encoding="utf-8")
    load_settings(config)
    assert os.environ["OPENAI_API_KEY"] == "sk-file"
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
    load_settings(config)
    assert os.environ["OPENAI_API_KEY"] == "sk-environment"


def test_hidden_files_and_folders_are_no_secrets(config: Path, secrets: Path) -> None:
    """What Kubernetes puts beside mounted secrets (`..data`, folders) is passed over."""
    (secrets / "..data").mkdir()
    (secrets / ".keep").write_text("", encoding="utf-8")
    (secrets / "kubernetes.io").mkdir()
    assert _password(load_settings(config)) == ""


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("servicenow_password", "belongs to no setting; name it after one, as servicenow__password"),
        ("postgres_password", "belongs to no setting"),
        ("servicenow__pasword", "there is no setting servicenow.pasword; remove it or mend its spelling"),
    ],
)
def test_a_misspelt_secret_is_refused(config: Path, secrets: Path, name: str, sentence: str) -> None:
    """A secret file that no setting would read is a mistake with its name, and its content is not shown."""
    (secrets / name).write_text("hunter2", encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load_settings(config)
    assert sentence in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_missing_folder_of_secrets_is_refused(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a mount that failed would mean the default ledger and broker, without a word."""
    monkeypatch.setenv("COUNTERSIGN_SECRETS_DIR", "/nowhere/secrets")
    with pytest.raises(
        ConfigError, match="There is no folder /nowhere/secrets of secrets; mend COUNTERSIGN_SECRETS_DIR"
    ):
        load_settings(config)


def test_a_missing_configuration_is_refused(tmp_path: Path) -> None:
    """The sentence names the file and the two ways to name another."""
    with pytest.raises(
        ConfigError, match=r"no configuration file .*gone\.yaml; name one with --config or COUNTERSIGN_CONFIG"
    ):
        load_settings(tmp_path / "gone.yaml")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("brooker: x", "there is no setting brooker; remove it or mend its spelling."),
        ("jira: {url: x, user: y, project: Z, tokn: t}", "there is no setting jira.tokn"),
        (
            "jira: {url: x, user: y}",
            "jira.project is missing; write it there or set COUNTERSIGN_JIRA__PROJECT.",
        ),
        ("ledger: x\nbroker: {a: 'b", ":2: this is not YAML; look for a missing quote or a wrong indent."),
        ("- ledger", "this holds no settings; write one a line, as `log_level: INFO`, in UTF-8."),
        ("ledger", "this holds no settings"),
        ("7", "this holds no settings"),
        ("log_level: LOUD", "log_level: write DEBUG, INFO, WARNING or ERROR."),
        ("timing: {pull: soon}", 'timing.pull: "soon" is not a duration; write a whole number and a unit'),
        ("broker: localhost", "broker: write redis://:PASSWORD@HOST:6379/0, or embedded."),
        ("broker: 'redis://:hunter2/x@valkey:6379/0'", "broker: write redis://:PASSWORD@HOST:6379/0"),
    ],
)
def test_a_mistake_in_the_yaml_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    """Unknown keys, missing ones and broken YAML each say where and what to do."""
    config = tmp_path / "countersign.yaml"
    config.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load_settings(config)
    assert sentence in str(refused.value)
    assert str(config) in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert not str(refused.value).endswith("..")


def test_a_configuration_that_is_not_utf_8_is_one_sentence(tmp_path: Path) -> None:
    """As an editor may save it on Windows."""
    config = tmp_path / "countersign.yaml"
    config.write_text("log_level: INFO", encoding="utf-16")
    with pytest.raises(ConfigError, match=r"countersign\.yaml: .*UTF-8"):
        load_settings(config)


def test_a_list_in_the_environment_is_json(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is not is told with its name."""
    monkeypatch.setenv("COUNTERSIGN_POLICIES", '["policies/alert-triage.yaml"]')
    assert load_settings(config).policies == [Path("policies/alert-triage.yaml")]
    monkeypatch.setenv("COUNTERSIGN_POLICIES", "policies/alert-triage.yaml")
    with pytest.raises(ConfigError, match=r'"policies".*written as JSON there'):
        load_settings(config)


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    """Two mistakes are two lines."""
    config = tmp_path / "countersign.yaml"
    config.write_text("brooker: x\njira: {url: x, user: y}", encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load_settings(config)
    assert len(str(refused.value).splitlines()) == 2


def test_no_secret_is_ever_shown(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither str nor repr nor a dump shows what is secret: passwords, keys, and addresses that may hold one."""
    monkeypatch.setenv("COUNTERSIGN_SERVICENOW__PASSWORD", "hunter2")
    monkeypatch.setenv("COUNTERSIGN_LEDGER", "postgresql://countersign:hunter2@db/countersign")
    monkeypatch.setenv("COUNTERSIGN_BROKER", "redis://:hunter2@valkey:6379/0")
    monkeypatch.setenv("COUNTERSIGN_PAGERDUTY", '{"sender": "a@example.com", "token": "hunter2"}')
    monkeypatch.setenv(
        "COUNTERSIGN_DATADOG", '{"url": "https://x", "api_key": "hunter2", "app_key": "hunter2"}'
    )
    monkeypatch.setenv("COUNTERSIGN_SPLUNK", '{"url": "https://x", "token": "hunter2"}')
    monkeypatch.setenv(
        "COUNTERSIGN_JIRA", '{"url": "https://x", "user": "u", "project": "P", "token": "hunter2"}'
    )
    settings = load_settings(config)
    assert _password(settings) == "hunter2"
    assert "hunter2" not in f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()}"
