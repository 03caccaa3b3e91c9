"""What `countersign evals` measures with: labelled sets read from a folder, and the embedded model as a learner."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from connectors.embedded.classifier import TextClassifier
from countersign.errors import ConfigError
from countersign.evals import Classifier, Row


def learner(rows: Sequence[Row]) -> Classifier:
    """The embedded classifier, taught from the rows: a Maker for `countersign.evals.evaluate`."""
    classifier = TextClassifier([row.text for row in rows], {"label": [row.label for row in rows]})
    return lambda texts: [
        (v.label, v.confidence) for v in classifier.classify("label", classifier.read(texts))
    ]


def labelled_sets(folder: Path) -> dict[str, tuple[Row, ...]]:
    """The labelled sets under the folder, by name. Raises ConfigError where there is none."""
    sets = {
        name: tuple(read(folder / path)) for name, (path, read) in _SETS.items() if (folder / path).is_file()
    }
    if not sets:
        wanted = ", ".join(path for path, _ in _SETS.values())
        raise ConfigError(f"{folder} holds no labelled set; put {wanted} there or name another folder.")
    return sets


def _tickets(path: Path) -> Iterator[Row]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield Row(f"{row['Short description']}\n{row['Description']}", row["Assignment group"])


def _rules(path: Path) -> Iterator[Row]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for rule in map(json.loads, file):
            yield Row(f"{rule['alert']}\n{rule['description'] or ''}", rule["group"])


def _labelled(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8") as file:
        yield from (Row(row["text"], row["label"]) for row in map(json.loads, file))


_SETS: Mapping[str, tuple[str, Callable[[Path], Iterator[Row]]]] = {
    "tickets to groups": ("it-ticket-routing-8500/tickets.csv.gz", _tickets),
    "alert rules to groups": ("awesome-prometheus-alerts/rules.jsonl.gz", _rules),
    "own labels": ("labels.jsonl", _labelled),
}
