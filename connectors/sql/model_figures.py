"""Model figures: the tables of what confidences are worth, and of where the embedded model may answer alone."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, String, Table, Text

from connectors.sql.tables import Moment, metadata

# Calibrations; the newest of its versions is in force.
scales = Table(
    "scales",
    metadata,
    Column("id", String, primary_key=True),
    Column("use_case", String, nullable=False),
    Column("at", Moment, nullable=False),
    Column("author", String, nullable=False),
    Column("versions", String, nullable=False),
    Column("body", Text, nullable=False),
    Index("ix_scales_use_case", "use_case", "at"),
)

# Whether the embedded model read a case right, as people told; empty body where it says nothing of others.
local_labels = Table(
    "local_labels",
    metadata,
    Column("case_id", String, ForeignKey("cases.id"), primary_key=True),
    Column("use_case", String, nullable=False),
    Column("recorded_at", Moment, nullable=False),
    Column("category", String, nullable=False),
    Column("wrong", Boolean, nullable=False),
    Column("body", Text, nullable=False),
    Index("ix_local_labels_use_case", "use_case", "recorded_at"),
)

local_certificates = Table(
    "local_certificates",
    metadata,
    Column("id", String, primary_key=True),
    Column("use_case", String, nullable=False),
    Column("category", String, nullable=False),
    Column("versions", String, nullable=False),
    Column("at", Moment, nullable=False),
    Column("body", Text, nullable=False),
    Column("monitor", Text, nullable=False),
    Column("withdrawn_at", Moment),
    Column("why", String, nullable=False, server_default=""),
    Index("ix_local_certificates_use_case", "use_case", "at"),
)
