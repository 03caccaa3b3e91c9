"""What is installed: the image, the compose file, and the files that compose mounts, held against our own rules."""

from __future__ import annotations

import configparser
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml

from workers.commands.run import roles
from workers.main import COMMANDS
from workers.settings import Settings
from workers.supervisor import PATIENCE_S

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "countersign" in service["image"]}
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
_VERSION = re.compile(r":\d+\.\d+(\.\d+)?[\w.-]*$|@sha256:[0-9a-f]{64}$")
_SECRET_NAME = re.compile(r"PASSWORD|TOKEN|SECRET|API_?KEY|LEDGER|BROKER")
_POINTS_AT_FILES = ("_FILE", "_DIR")

MANIFESTS: list[dict[str, Any]] = [
    document
    for name in yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    for document in yaml.safe_load_all((KUBERNETES / name).read_text(encoding="utf-8"))
]
PODS = {
    document["metadata"]["name"]: document["spec"]["template"]["spec"]
    for document in MANIFESTS
    if document["kind"] == "Deployment"
}
ROLES = {name: pod for name, pod in PODS.items() if pod["containers"][0]["image"] == "countersign"}

services = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
ours = pytest.mark.parametrize("service", OURS.values(), ids=OURS)
pods = pytest.mark.parametrize("pod", PODS.values(), ids=PODS)
roles_of_the_cluster = pytest.mark.parametrize("pod", ROLES.values(), ids=ROLES)


def _waited_for() -> set[str]:
    """The services that run once: others wait until they have completed."""
    return {
        name
        for service in SERVICES.values()
        for name, wait in service.get("depends_on", {}).items()
        if wait["condition"] == "service_completed_successfully"
    }


def _seconds(duration: str) -> int:
    return int(duration.removesuffix("s"))


@services
def test_every_service_runs_with_few_rights(service: dict[str, Any]) -> None:
    """Not root, by number; nothing of the image can be written; no capabilities, and none to be gained."""
    user, _, group = service["user"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "privileged" not in service


@services
def test_every_service_is_bounded(service: dict[str, Any]) -> None:
    """Memory, processes and logs have a limit each, so that one service can't take the machine with it."""
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert service["pids_limit"] <= 256
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}


def test_every_service_is_watched_and_comes_back() -> None:
    """A health check and a restart policy; who runs once has neither, and others wait for its good end."""
    once = _waited_for()
    assert once == {"migrate"}
    for name, service in SERVICES.items():
        check = service["healthcheck"]
        assert (service["restart"] == "no") is (name in once), name
        assert check.get("disable", False) is (name in once), name
        assert name in once or _seconds(check["timeout"]) < _seconds(check["interval"]), name


@services
def test_every_image_has_a_version(service: dict[str, Any]) -> None:
    """No `latest`, and nothing that is another thing tomorrow."""
    default = re.sub(r"\$\{\w+:-(.*)\}", r"\1", service["image"])
    assert _VERSION.search(default), default


@services
def test_no_secret_stands_in_an_environment(service: dict[str, Any]) -> None:
    """`docker inspect` shows environments: they may only say in which file or folder a secret is."""
    for name, value in service.get("environment", {}).items():
        assert name.endswith(_POINTS_AT_FILES) or not _SECRET_NAME.search(name), name
        assert "://" not in value, name


@services
def test_nothing_is_published(service: dict[str, Any]) -> None:
    """No port of the machine leads in: Countersign calls out, and nobody calls it."""
    assert "ports" not in service


def test_only_workers_can_reach_outside() -> None:
    """Broker, ledger, scheduler and migration have no way out."""
    assert COMPOSE["networks"]["inside"]["internal"] is True
    outside = {name for name, service in SERVICES.items() if "outside" in service["networks"]}
    assert outside == {"reader", "writer", "models"}


@ours
def test_a_role_waits_for_what_it_needs(service: dict[str, Any]) -> None:
    """PostgreSQL healthy first, then the migration, then the roles."""
    assert service["depends_on"]["postgres"]["condition"] == "service_healthy"


@ours
def test_a_role_has_time_to_give_back_what_it_holds(service: dict[str, Any]) -> None:
    """Compose kills later than a worker's own soft shutdown ends, and than `up` would wait for it."""
    assert _seconds(service["stop_grace_period"]) > PATIENCE_S


def test_compose_runs_the_roles_of_up() -> None:
    """A container for each role of `countersign up`, with the same queues and as many processes and threads."""
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    expected = {" ".join(role.arguments) for role in roles(settings)}
    run = {" ".join(service["command"]) for name, service in OURS.items() if name not in _waited_for()}
    assert run == expected


@ours
def test_a_container_starts_a_command_that_exists(service: dict[str, Any]) -> None:
    """The entry point is `countersign`: a container says only which of its commands."""
    assert service["command"][0] in COMMANDS
    assert service["healthcheck"].get("test", ["CMD", "countersign", "alive"])[2] in COMMANDS


def test_least_secrets_for_each_role() -> None:
    """Only what calls vendors sees the vendors' secrets; scheduler and migration get the ledger's and the broker's."""
    for name in ("beat", "migrate"):
        assert OURS[name]["secrets"] == ["ledger", "broker"]
        assert not any(mount["target"] == "/run/secrets" for mount in OURS[name]["volumes"])


def test_secrets_are_files_that_git_does_not_see() -> None:
    """Every declared secret lies in deploy/secrets, which is ignored by git and kept out of the image."""
    files = [secret["file"] for secret in COMPOSE["secrets"].values()]
    assert all(file.startswith("./secrets/") for file in files)
    assert "deploy/secrets/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()[1] == "*"


def test_the_broker_never_evicts() -> None:
    """noeviction, and a password that is included from a file."""
    lines = (DEPLOY / "valkey.conf").read_text(encoding="utf-8").splitlines()
    assert "maxmemory-policy noeviction" in lines
    assert "include /run/secrets/valkey_password" in lines
    assert not any(line.startswith("requirepass") for line in lines)


def test_the_image_is_installed_from_the_locks_and_is_not_root() -> None:
    """Hashes for everything from an index, our own wheel without one, a user by number, a check, one entry point."""
    installs = re.findall(r"pip install (.*?)(?: \\)?$", DOCKERFILE, re.MULTILINE)
    assert len(installs) == 3
    assert all("--require-hashes" in install or "--no-index" in install for install in installs)
    assert re.search(r"^ARG BASE=python:3\.12\.\d+-slim-\w+$", DOCKERFILE, re.MULTILINE)
    assert re.search(r"^ARG UID=10001$", DOCKERFILE, re.MULTILINE)
    assert re.search(r"^USER \$\{UID\}:\$\{UID\}$", DOCKERFILE, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK .*alive", DOCKERFILE, re.MULTILINE)
    assert 'ENTRYPOINT ["countersign"]' in DOCKERFILE


def test_what_the_image_is_built_from_is_let_in() -> None:
    """.dockerignore lets in what the wheel holds and what the Dockerfile copies; each of them exists."""
    let_in = {
        line[1:].rstrip("/")
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    packed = re.search(r"only-include = \[(.*)\]", project)
    assert packed is not None
    assert set(re.findall(r'"([^"]+)"', packed[1])) <= let_in
    assert all((ROOT / name).exists() for name in let_in)


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """deploy/ as `prepare` leaves it."""
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    (tmp_path / "deploy").mkdir()
    for name in ("prepare", "countersign.example.yaml"):
        shutil.copy(DEPLOY / name, tmp_path / "deploy" / name)
    subprocess.run([tmp_path / "deploy" / "prepare"], check=True, timeout=30)
    return tmp_path / "deploy"


def test_prepare_makes_everything_that_compose_mounts(prepared: Path) -> None:
    """Each secret and each mounted file is there; shipped ones aside, nothing else has to be made by hand."""
    shipped = {"valkey.conf"}
    mounted = [secret["file"] for secret in COMPOSE["secrets"].values()]
    mounted += [
        mount["source"]
        for service in SERVICES.values()
        for mount in service.get("volumes", ())
        if isinstance(mount, dict) and Path(mount["source"]).name not in shipped
    ]
    assert all((prepared / path).exists() for path in mounted)
    assert (prepared / "policies" / "observe-first.yaml").is_file()


def test_prepared_secrets_fit_each_other(prepared: Path) -> None:
    """The ledger's and the broker's addresses carry the passwords that the servers are given, and name the services."""
    secrets = {
        path.name: path.read_text(encoding="utf-8").strip()
        for path in prepared.glob("secrets/**/*")
        if path.is_file()
    }
    ledger, broker = urlsplit(secrets["ledger"]), urlsplit(secrets["broker"])
    assert ledger.password == secrets["postgres_password"]
    assert f"requirepass {broker.password}" == secrets["valkey_password"]
    assert len({ledger.password, broker.password}) == 2
    assert min(len(ledger.password or ""), len(broker.password or "")) >= 32
    assert {ledger.hostname, broker.hostname} <= set(SERVICES)


def test_prepared_secrets_are_closed_to_others_on_the_machine(prepared: Path) -> None:
    """The folder is its owner's alone; the files in it are readable for the containers' users."""
    assert stat.S_IMODE((prepared / "secrets").stat().st_mode) == 0o700
    for path in ("secrets/countersign/ledger", "secrets/postgres_password"):
        assert stat.S_IMODE((prepared / path).stat().st_mode) == 0o444


def test_preparing_again_changes_nothing(prepared: Path) -> None:
    """Passwords of a database that exists must stay."""
    before = {path: path.read_bytes() for path in prepared.rglob("*") if path.is_file()}
    subprocess.run([prepared / "prepare"], check=True, timeout=30)
    assert {path: path.read_bytes() for path in prepared.rglob("*") if path.is_file()} == before


def test_the_example_is_a_configuration(prepared: Path) -> None:
    """As shipped, and with every vendor's section taken out of its comment."""
    text = (prepared / "countersign.yaml").read_text(encoding="utf-8")
    whole = re.sub(r"^# (?=[a-z]+:(?: #|$)|  )", "", text, flags=re.MULTILINE)
    for version in (text, whole):
        Settings.model_validate(yaml.safe_load(version))
    named = yaml.safe_load(whole)
    assert set(named) >= {"datadog", "splunk", "pagerduty", "servicenow", "jira"}
    for file in re.findall(r"\b(\w+__\w+)\b", whole):
        section, key = file.split("__")
        assert key in type(getattr(Settings.model_validate(named), section)).model_fields, file


@pytest.mark.parametrize(
    "manifest", MANIFESTS, ids=[f"{one['kind']}-{one['metadata']['name']}" for one in MANIFESTS]
)
def test_the_cluster_would_take_every_manifest(manifest: dict[str, Any]) -> None:
    """Valid, and without unknown keys, by the schemas of the Kubernetes versions in use."""
    for version in ("1.27", "1.34"):
        kubernetes_validate.validate(manifest, version, strict=True)


def test_the_cluster_runs_the_roles_of_up() -> None:
    """A Deployment for each role of `countersign up`, with the same queues and as many processes and threads."""
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    run = {" ".join(pod["containers"][0]["args"]) for pod in ROLES.values()}
    assert run == {" ".join(role.arguments) for role in roles(settings)}


@pods
def test_every_pod_runs_with_few_rights(pod: dict[str, Any]) -> None:
    """What the namespace's `restricted` standard asks, and more: read-only files, no token, a limit of memory."""
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for container in (*pod.get("initContainers", ()), *pod["containers"]):
        rights = container["securityContext"]
        assert rights["capabilities"] == {"drop": ["ALL"]}
        assert (rights["allowPrivilegeEscalation"], rights["readOnlyRootFilesystem"]) == (False, True)
        assert container["resources"]["limits"]["memory"]
        assert not any("value" in one and _SECRET_NAME.search(one["name"].removesuffix("_SECRETS_DIR"))
                       for one in container.get("env", ()))  # fmt: skip


@roles_of_the_cluster
def test_a_pod_migrates_is_watched_and_has_time_to_give_back(pod: dict[str, Any]) -> None:
    """The ledger first; `alive` asked while it runs; killed later than a worker's own soft shutdown ends."""
    assert pod["initContainers"][0]["args"] == ["migrate"]
    assert pod["containers"][0]["livenessProbe"]["exec"]["command"] == ["countersign", "alive"]
    assert pod["terminationGracePeriodSeconds"] > PATIENCE_S


def test_the_scheduler_sees_no_secret_of_a_vendor() -> None:
    """Of the roles only beat has the smaller secret, and only beat may not call vendors."""
    secret = {
        name: next(volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume)
        for name, pod in ROLES.items()
    }
    assert {name for name, found in secret.items() if found == "countersign-inside"} == {"beat"}
    (outside,) = [one for one in MANIFESTS if one["metadata"]["name"] == "workers-reach-vendors"]
    (chosen,) = outside["spec"]["podSelector"]["matchExpressions"]
    assert set(chosen["values"]) == set(ROLES) - {"beat"}


def test_prepare_makes_what_kustomize_and_its_secrets_need(tmp_path: Path) -> None:
    """The generated files are there, the settings load, and only the address of PostgreSQL is left to people."""
    for folder in ("policies", "deploy"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("secrets"))
    told = subprocess.run(
        [tmp_path / "deploy" / "prepare", "kubernetes"],
        check=True, timeout=30, capture_output=True, text=True,
    )  # fmt: skip
    made = tmp_path / "deploy" / "kubernetes"
    kustomization = yaml.safe_load((made / "kustomization.yaml").read_text(encoding="utf-8"))
    generated = [file for one in kustomization["configMapGenerator"] for file in one["files"]]
    assert all((made / file).is_file() for file in (*generated, *kustomization["resources"]))
    settings = Settings.model_validate(
        yaml.safe_load((made / "countersign.yaml").read_text(encoding="utf-8"))
    )
    mounted = {mount["mountPath"] for mount in ROLES["reader"]["containers"][0]["volumeMounts"]}
    assert {str(path) for path in settings.policies} <= mounted
    broker = urlsplit((made / "secrets/countersign/broker").read_text(encoding="utf-8").strip())
    assert (made / "secrets/valkey_password").read_text(encoding="utf-8").split()[1] == broker.password
    assert "secrets/countersign/ledger" in told.stdout


def test_the_unit_runs_up_as_a_user_of_its_own() -> None:
    """A command that exists, not root, nothing of the system written, and time to give back what is held."""
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string((DEPLOY / "systemd" / "countersign.service").read_text(encoding="utf-8"))
    service = unit["Service"]
    assert service["ExecStart"].split()[1] in COMMANDS
    assert (service["User"], service["ProtectSystem"], service["KillMode"]) == (
        "countersign",
        "strict",
        "mixed",
    )
    assert int(service["TimeoutStopSec"]) > PATIENCE_S
    assert not any(
        _SECRET_NAME.search(line) for line in service["Environment"].splitlines() if "_DIR" not in line
    )
