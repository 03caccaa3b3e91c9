"""Fixtures of the workers' tests: houses on every ledger, empty or after a whole night."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.scenario import play
from tests.services import PostgresServer
from tests.workers.house import House, house


@pytest.fixture
def home(tmp_path: Path, sqlite_url: str) -> Iterator[House]:
    """An empty house on SQLite."""
    with house(tmp_path, sqlite_url) as one:
        yield one


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def night(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house after the sandbox's night, on each kind of ledger: for looking at, shared by a module's tests."""
    folder = tmp_path_factory.mktemp("night")
    if request.param == "sqlite":
        url, drop = f"sqlite:///{folder / 'ledger.db'}", lambda: None
    else:
        server: PostgresServer = request.getfixturevalue("postgres_server")
        url = server.create()
        drop = lambda: server.drop(url)  # noqa: E731
    with house(folder, url) as one:
        play(one.box)
        one.once()
        yield one
    drop()
