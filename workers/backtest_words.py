"""The words of a backtest: what a policy makes of recorded cases, as text, and the page beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from countersign.backtest import Backtest, CategoryFigures
from countersign.chances import per_cent
from countersign.errors import ConfigError
from countersign.labels import Label
from countersign.policy import Policy
from countersign.promises import Standing
from countersign.thresholds.binomial import Estimate

_SHOWN = 50


def tell(policy: Policy, old: Policy | None, found: Backtest, *, since: str) -> str:
    """Everything of a backtest for a terminal; the cases that change, at most the first fifty."""
    lines = [f"{found.cases:,} recorded cases of the last {since} under {policy.use_case} v{policy.version}."]
    if not found.cases:
        return f"{lines[0]} There is nothing to decide again; run it once some cases were decided."
    before = {one.category: one for one in found.before}
    for one in found.figures:
        lines += _category(one, before.get(one.category))
    if old is not None:
        lines += ["", f"{len(found.changes):,} cases are decided otherwise than under v{old.version}:"]
        lines += [
            f"  {one.id} ({one.category}): {one.before.words} -> {one.after.words}"
            for one in found.changes[:_SHOWN]
        ]
        if len(found.changes) > _SHOWN:
            lines.append(f"  … {len(found.changes) - _SHOWN:,} more; --json has them all.")
    lines += ["", "As if it acted, without a control lane, within its limits. Intervals: 95 %."]
    return "\n".join(lines)


def _category(one: CategoryFigures, before: CategoryFigures | None) -> Iterator[str]:
    was = f" (was {before.would_close:,})" if before and before.would_close != one.would_close else ""
    yield f"\n{one.category}: closes {one.would_close:,} of {one.cases:,}{was}"
    if one.would_close:
        yield f"  wrong: {share_words(one.wrong_share)}; wrong closes: {one.wrong_closes.words}"
        yield f"  pages missed: {one.pages_missed:,}"
        yield f"  minutes saved: {one.minutes.words}; dollars saved: {one.dollars.words}"


def share_words(found: Estimate) -> str:
    """As "1.2 % (0.4 % to 3.1 %, n = 240)"; unknown without a label."""
    if found.value is None:
        return "unknown (no labelled case among them)"
    value, low, high = (per_cent(share, digits=1) for share in (found.value, found.low, found.high))
    return f"{value} ({low} to {high}, n = {found.n:,})"


def write_page(
    page: Path, policy: Policy, found: Backtest, labels: Sequence[Label], standing: Standing, *, since: str
) -> None:
    """Raises ConfigError where the page can't be written."""
    from countersign.boundary import boundary_hash
    from countersign.certification import covered
    from countersign.thresholds import USUAL, curves
    from countersign.whatif_page import WhatIf, render

    boundary = boundary_hash(policy)
    ours = [label for label in labels if label.versions.policy == boundary]
    text = render(
        WhatIf(
            title=f"{policy.use_case} v{policy.version} ({policy.fingerprint})",
            period=f"{found.cases:,} recorded cases of the last {since}",
            backtest=found,
            curves=curves(ours, USUAL),
            certified=covered(policy, standing),
        )
    )
    try:
        page.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise ConfigError(f"{page} can't be written ({problem.strerror}); name another file.") from None
