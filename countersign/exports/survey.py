"""The survey of an export: which form it has, which column holds what, and how its dates are written."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from countersign.exports.forms import FORMS, LINKS, MAPPED, Form
from countersign.exports.moments import DateOrder, needs_order, order_of
from countersign.exports.problems import ExportError

_PORTION = 5000


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """How to read an export. `columns`: field -> place in the row; `order` is None where no date needs one."""

    form: Form
    delimiter: str
    header: tuple[str, ...]
    columns: Mapping[str, int]
    order: DateOrder | None
    assumptions: tuple[str, ...] = ()

    def called(self, field: str) -> str:
        """The header of a field's column."""
        return self.header[self.columns[field]]


def survey(
    lines: Iterable[str],
    *,
    mapping: Mapping[str, str] | None = None,
    form: str | Form = "",
    order: DateOrder | None = None,
    links: bool = False,
) -> Survey:
    """Reads as far as it must. `mapping` (field -> header) goes before what the form knows. `links`: columns that name
    changes are read too.

    Raises ExportError if the header does not say what is needed, or if dates could be read in two ways.
    """
    reading = iter(lines)
    first = next(reading, "")
    delimiter = max(",;\t|", key=first.count)
    header = tuple(
        cell.strip().lstrip("\ufeff") for cell in next(csv.reader([first], delimiter=delimiter), [])
    )
    if not any(header):
        raise ExportError("The file is empty; export the tickets as CSV with a header.")
    chosen = form if isinstance(form, Form) else _form(header, form)
    found = _columns(chosen, header, mapping or {})
    if not links:
        found = {field: place for field, place in found.items() if field not in LINKS}
    plan = Survey(form=chosen, delimiter=delimiter, header=header, columns=found, order=order)
    if order is None:
        plan = _with_order(plan, csv.reader(reading, delimiter=delimiter))
    return replace(plan, assumptions=_told(plan, given=order is not None))


def _form(header: Sequence[str], named: str) -> Form:
    by_name = {form.name: form for form in (*FORMS, MAPPED)}
    if named:
        if named not in by_name:
            raise ExportError(f'There is no form "{named}"; choose one of {", ".join(by_name)}.')
        return by_name[named]
    present = {cell.lower() for cell in header}
    return next((form for form in FORMS if present.issuperset(form.marks)), MAPPED)


def _columns(form: Form, header: Sequence[str], mapping: Mapping[str, str]) -> dict[str, int]:
    places: dict[str, int] = {}
    for place, cell in enumerate(header):
        places.setdefault(cell.lower(), place)  # Jira repeats headers: the first counts
    found = {
        field: next(places[name] for name in names if name in places)
        for field, names in form.columns.items()
        if any(name in places for name in names)
    }
    for field, name in mapping.items():
        if field not in form.kinds:
            known = ", ".join(f"{form.prefix}{kind}" for kind in form.kinds)
            raise ExportError(f'--map knows no field "{form.prefix}{field}"; it knows {known}.')
        if name.strip().lower() not in places:
            raise ExportError(f'The export has no column "{name}" for {field}; it has {_listed(header)}.')
        found[field] = places[name.strip().lower()]
    if missing := [field for field in form.needed if field not in found]:
        example = " ".join(f'--map {form.prefix}{field}="…"' for field in missing)
        raise ExportError(
            f"No column is known to hold {' or '.join(missing)}; add {example}: it has {_listed(header)}."
        )
    return found


def _listed(header: Sequence[str]) -> str:
    named = [cell for cell in header if cell]
    return ", ".join(named[:40]) + (" …" if len(named) > 40 else "")


def _with_order(plan: Survey, rows: Iterator[list[str]]) -> Survey:
    times = [place for field, place in plan.columns.items() if plan.form.kinds[field] == "time"]
    row, asked = 1, False
    while portion := list(islice(rows, _PORTION)):
        evidence: dict[DateOrder, str] = {}
        for cells in portion:
            row += 1
            for place in times:
                text = cells[place] if place < len(cells) else ""
                if told := order_of(text):
                    evidence.setdefault(told, f'row {row}, {plan.header[place]}: "{text.strip()}"')
                asked = asked or needs_order(text)
        if len(evidence) > 1:
            raise ExportError(
                f"Some dates can only be day first and some only month first ({' and '.join(evidence.values())}); "
                "say with --dates which counts."
            )
        if evidence:
            (order, where), *_ = evidence.items()
            return replace(
                plan, order=order, assumptions=(f"Dates are read {order}, as {where} can only be.",)
            )
        if not asked:
            return plan
    if asked:
        raise ExportError(
            "Every date could be day first or month first; say which: --dates day-first or month-first."
        )
    return plan


def _told(plan: Survey, *, given: bool) -> tuple[str, ...]:
    read_as = "; ".join(f"{field} from {plan.header[place]}" for field, place in plan.columns.items())
    order = (f"Dates are read {plan.order}, as told.",) if given else plan.assumptions
    separated = () if plan.delimiter == "," else (f"Columns are separated by {plan.delimiter!r}.",)
    return (f"It is read as {plan.form.title}: {read_as}.", *order, *separated)
