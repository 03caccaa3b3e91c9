"""What every test may ask for: real servers, fresh databases, and the folders of real data."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import redis
import structlog
from hypothesis import HealthCheck, settings
from sqlalchemy.engine import make_url

from connectors.redis.server import EmbeddedRedis
from connectors.sql.migrate import migrate
from countersign.errors import ConfigError
from tests.browser import Browser, NoBrowser
from tests.services import NoPostgres, OwnCluster, PostgresServer, in_memory

# The price map of litellm comes from the network unless this is set before its first import.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

ROOT = Path(__file__).resolve().parent.parent

# A normal run draws the same examples everywhere, however long each takes; `make nightly` draws others each time.
settings.register_profile(
    "tests",
    deadline=None,
    derandomize=not os.environ.get("COUNTERSIGN_NIGHTLY"),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("tests")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests go first: of two workers none is left with them while the other has nothing to do."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def _missing(reason: str) -> NoReturn:
    """A service that isn't there is a skip on a laptop and a failure in CI."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def _what_a_command_sets_ends_with_its_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Its logs go to the stderr of its test, and the process's environment names its configuration."""
    monkeypatch.delenv("COUNTERSIGN_CONFIG", raising=False)
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[EmbeddedRedis]:
    """A real Redis server, shared by the tests of this process: to break one, start your own."""
    server = EmbeddedRedis()
    try:
        server.start()
    except ConfigError as error:
        _missing(str(error))
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis) -> str:
    """URL of a real Redis server, empty at the start of the test."""
    with redis.Redis.from_url(redis_server.url, socket_timeout=5, socket_connect_timeout=5) as client:
        client.flushall()
    return redis_server.url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real PostgreSQL: `create()` gives the URL of a fresh database, `drop(url)` removes it."""
    if given := os.environ.get("COUNTERSIGN_TEST_POSTGRES"):
        yield PostgresServer(given)
        return
    try:
        cluster = OwnCluster().__enter__()
    except NoPostgres as error:
        _missing(str(error))
    try:
        yield PostgresServer(cluster.admin)
    finally:
        cluster.__exit__()


@pytest.fixture(scope="module")
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """SQLAlchemy URL of an empty PostgreSQL database, one for each test module."""
    url = postgres_server.create()
    yield url
    postgres_server.drop(url)


@pytest.fixture
def memory_path(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: every commit reaches the disk, which tests need not wait for."""
    if (memory := in_memory()) is None:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="countersign-", dir=memory) as folder:
        yield Path(folder)


@pytest.fixture
def sqlite_url(memory_path: Path) -> str:
    """SQLAlchemy URL of an SQLite file that does not exist yet."""
    return f"sqlite:///{memory_path / 'ledger.db'}"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite ledger with this version's tables and nothing in them, to be copied."""
    file = tmp_path_factory.mktemp("template") / "ledger.db"
    migrate(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> Iterator[str]:
    """The same as a PostgreSQL database; gives its name."""
    url = postgres_server.create()
    migrate(url)
    yield str(make_url(url).database)
    postgres_server.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """SQLAlchemy URL of an empty ledger for this test: every such test runs on both kinds."""
    if request.param == "sqlite":
        file: Path = request.getfixturevalue("memory_path") / "ledger.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), file)
        yield f"sqlite:///{file}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.create(template=request.getfixturevalue("postgres_template"))
    yield url
    server.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """SQLAlchemy URL of a fresh, empty database for this test: every such test runs on both kinds."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_url")
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.create()
    yield url
    server.drop(url)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium, shared by the tests of this process."""
    try:
        one = Browser()
    except NoBrowser as error:
        _missing(str(error))
    with one:
        yield one


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data (COUNTERSIGN_DATA)."""
    return _folder("COUNTERSIGN_DATA", "data")


@pytest.fixture(scope="session")
def contracts_dir() -> Path:
    """The folder of the vendors' specifications and recorded exchanges (COUNTERSIGN_CONTRACTS)."""
    return _folder("COUNTERSIGN_CONTRACTS", "contracts")


def _folder(setting: str, name: str) -> Path:
    folder = Path(os.environ.get(setting) or ROOT.parent / "shared" / name)
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}: set {setting} to where it is")
    return folder
