"""Promises: the tables of what decisions rested on, of labels, and of certificates. In the ledger beside the rest."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, Text

from connectors.sql.tables import Moment, metadata

# What each decision rested on, narrow enough to read a million of them in seconds.
grounds = Table(
    "grounds",
    metadata,
    Column("case_id", String, ForeignKey("cases.id"), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("use_case", String, nullable=False),
    Column("at", Moment, nullable=False),
    Column("risk", Float),
    Column("alerts", Integer, nullable=False),
    Column("kind", String, nullable=False),
    Column("category", String, nullable=False),
    Column("rule", String, nullable=False),
    Column("lane", String, nullable=False),
    # The probability with which the case was put into the control lane.
    Column("control_share", Float, nullable=False),
    # True where nothing but a certificate can stand between the case and a close.
    Column("wanted", Boolean, nullable=False),
    # True where the treated lane would have been closed without asking anybody.
    Column("alone", Boolean, nullable=False),
    # By what the risk was computed, as JSON; empty where nobody assessed the case.
    Column("versions", String, nullable=False),
    Column("facts", Text, nullable=False),
    Index("ix_grounds_use_case", "use_case", "at"),
)

# Circumstances that many decisions share, by their hash.
circumstances = Table(
    "circumstances",
    metadata,
    Column("kind", String, primary_key=True),
    Column("body", Text, nullable=False),
)

labels = Table(
    "labels",
    metadata,
    Column("case_id", String, ForeignKey("cases.id"), primary_key=True),
    Column("use_case", String, nullable=False),
    Column("recorded_at", Moment, nullable=False),
    Column("category", String, nullable=False),
    Column("wrong", Boolean, nullable=False),
    # By which version of the rules in countersign/labelling.py it was made.
    Column("rule_version", Integer, nullable=False, server_default="1"),
    Column("body", Text, nullable=False),
    Index("ix_labels_use_case", "use_case", "recorded_at"),
    Index("ix_labels_counted", "use_case", "category", "wrong", "recorded_at"),
)

certificates = Table(
    "certificates",
    metadata,
    Column("id", String, primary_key=True),
    Column("use_case", String, nullable=False),
    Column("category", String, nullable=False),
    Column("rule", String, nullable=False),
    Column("versions", String, nullable=False),
    Column("at", Moment, nullable=False),
    Column("body", Text, nullable=False),
    Column("monitor", Text, nullable=False),
    # When the monitor withdrew it, and the sentence that the owner was told.
    Column("withdrawn_at", Moment),
    Column("why", String, nullable=False, server_default=""),
    # The case whose audit raised the alarm.
    Column("withdrawn_case", String),
    Index("ix_certificates_use_case", "use_case", "at"),
)

# Every look at the labels: each one spends a part of what may go wrong.
certifications = Table(
    "certifications",
    metadata,
    Column("use_case", String, primary_key=True),
    Column("tuning", Integer, primary_key=True),
    Column("at", Moment, nullable=False),
)

# Policies that were in force, so that a worker can go on with the last good one.
good_policies = Table(
    "good_policies",
    metadata,
    Column("use_case", String, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("content_hash", String, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("body", Text, nullable=False),
)

# What stands watch over rules beside certificates: monitors of rules that close by risk, and touched trip-wires.
guards = Table(
    "guards",
    metadata,
    Column("id", String, primary_key=True),
    Column("use_case", String, nullable=False),
    # risk or reopens.
    Column("kind", String, nullable=False),
    Column("rule", String, nullable=False),
    Column("category", String, nullable=False),
    Column("boundary", String, nullable=False),
    Column("allowed", Float, nullable=False),
    Column("at", Moment, nullable=False),
    Column("monitor", Text, nullable=False),
    Column("fallen_at", Moment),
    Column("case_id", String, nullable=False),
    Column("why", String, nullable=False),
    Column("lifted_at", Moment),
    Index("ix_guards_use_case", "use_case"),
)
