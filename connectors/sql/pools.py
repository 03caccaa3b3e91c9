"""Pools: the tables of what was learnt from corrections, in versions that are activated and rolled back."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table, Text

from connectors.sql.tables import Moment, metadata

# Each entry once, by the hash of what it says; versions name their entries.
pool_entries = Table(
    "pool_entries",
    metadata,
    Column("id", String, primary_key=True),
    Column("use_case", String, nullable=False),
    # By what a case like it is found: the fingerprint, or the words of its title.
    Column("cluster", String, nullable=False),
    Column("template", String, nullable=False),
    Column("body", Text, nullable=False),
    Index("ix_pool_entries_cluster", "use_case", "cluster"),
    Index("ix_pool_entries_template", "use_case", "template"),
)

pool_versions = Table(
    "pool_versions",
    metadata,
    Column("use_case", String, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False),
    Column("author", String, nullable=False),
    # The ids of its entries, and what was left out and why, as JSON.
    Column("body", Text, nullable=False),
)

# The newest names the version in force; going back is an activation like any other.
pool_activations = Table(
    "pool_activations",
    metadata,
    Column("use_case", String, primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("at", Moment, nullable=False),
    Column("author", String, nullable=False),
)
