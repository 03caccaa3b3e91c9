"""Redaction measured on labelled data: what it must find, and how much it may take away in vain."""

from __future__ import annotations

import base64
import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from countersign.redaction import redact


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        pytest.skip(f"no file {path}")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode("utf-8", "replace")


def _shows(text: str, secret: str) -> bool:
    """Whether eight characters of the secret's second half can still be read."""
    half = secret[len(secret) // 2 :]
    return any(half[n : n + 8] in text for n in range(max(1, len(half) - 7)))


def test_secrets_recall(data_dir: Path) -> None:
    """Of generated secrets of a hundred issuers, at least 95 in 100 are hidden."""
    rows = list(_rows(data_dir / "gitleaks-generated-secrets/secrets.jsonl.gz"))
    shown = [
        r["rule"] for r in rows if _shows(redact(_decoded(r["text_b64"])).text, _decoded(r["secret_b64"]))
    ]
    assert len(shown) / len(rows) <= 0.05, shown


def test_look_alikes_are_mostly_left(data_dir: Path) -> None:
    """Of texts that only look like secrets to a scanner, at most a third loses something."""
    rows = list(_rows(data_dir / "gitleaks-generated-secrets/not_secrets.jsonl.gz"))
    masked = [r["rule"] for r in rows if redact(_decoded(r["text_b64"]), frozenset({"secrets"})).hidden]
    assert len(masked) / len(rows) <= 0.33, masked


@pytest.mark.parametrize("label", ["EMAIL_ADDRESS", "IP_ADDRESS", "IBAN_CODE", "CREDIT_CARD"])
def test_personal_numbers_recall(data_dir: Path, label: str) -> None:
    """Of labelled addresses, accounts and cards, at least 97 in 100 are hidden."""
    rows = _rows(data_dir / "presidio-research-synth/synth.jsonl.gz")
    found = [
        span["entity_value"] not in redact(row["full_text"]).text
        for row in rows
        for span in row["spans"]
        if span["entity_type"] == label
    ]
    assert found
    assert sum(found) / len(found) >= 0.97


def test_few_words_of_real_tickets_are_hidden(data_dir: Path) -> None:
    """Besides e-mail addresses, at most 1 in 100 words of real tickets is hidden (most of them rightly)."""
    path = data_dir / "it-ticket-routing-8500/tickets.csv.gz"
    words = hidden = 0
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            text = f"{row['Short description']}\n{row['Description']}"
            redacted = redact(text)
            words += len(text.split())
            hidden += sum(
                len(value.split()) * redacted.text.count(name)
                for name, value in redacted.hidden.items()
                if not name.startswith("<email")
            )
    assert hidden / words <= 0.01
