"""Migrations: brings a database to this version's tables, forwards only, however many processes ask at once."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from connectors.sql.engine import Database, make_folder

_FOLDER = Path(__file__).with_name("migrations")


def migrate(url: str) -> str:
    """Makes or brings up to date the ledger at this URL; gives its revision. Safe to call from every process."""
    db = Database(url)
    try:
        make_folder(db.url)
        return upgrade(db)
    finally:
        db.close()


def upgrade(db: Database) -> str:
    """As `migrate`, for a database that is open. One transaction: a migration that fails leaves nothing behind."""
    with db.write() as connection:
        db.alone(connection, "countersign migration")
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        return current_revision(connection)


def current_revision(connection: Connection) -> str:
    """The revision that a database is at; empty when it has no tables."""
    return MigrationContext.configure(connection).get_current_revision() or ""


def head_revision() -> str:
    """The revision that this version of Countersign works with."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
