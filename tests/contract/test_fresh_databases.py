"""The databases tests get are real, empty and their own."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, inspect, text

from tests.services import PostgresServer


@pytest.mark.parametrize("round_", [1, 2])
def test_every_test_gets_an_empty_database(database_url: str, round_: int) -> None:
    """A table made in one test is not there in the next."""
    engine = create_engine(database_url)
    with engine.begin() as connection:
        assert inspect(connection).get_table_names() == []
        connection.execute(text("CREATE TABLE left_behind (id INTEGER)"))
    engine.dispose()


def test_a_database_can_be_copied_from_a_template(postgres_server: PostgresServer, postgres_url: str) -> None:
    """What was prepared once is in every copy."""
    engine = create_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE prepared (id INTEGER)"))
    engine.dispose()
    copy = postgres_server.create(template=str(engine.url.database))
    engine = create_engine(copy)
    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == ["prepared"]
    engine.dispose()
    postgres_server.drop(copy)
