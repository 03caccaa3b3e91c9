"""Certificates in words: what is promised and on what it rests, or what is missing."""

from __future__ import annotations

from countersign.thresholds.certificate import Certificate, NotCertified, Promise

_OF = {
    "close": "of its closes are wrong",
    "ticket": "of its tickets are closed wrongly",
    "answer": "of the embedded model's answers are wrong",
}
_UNTIL_THEN = {
    "close": "Its rule drafts instead of closing.",
    "ticket": "Its rule drafts instead of closing.",
    "answer": "The policy's other models are asked.",
}


def promise_words(promise: Promise) -> str:
    """As "at most 2% of its closes are wrong, 95% sure"."""
    return (
        f"at most {promise.alpha * 100:g}% {_OF[promise.per]}, {round((1 - promise.delta) * 100, 6):g}% sure"
    )


def certificate_words(result: Certificate | NotCertified) -> str:
    """One or two sentences for an engineer."""
    head = f"{result.category}: {promise_words(result.promise)}"
    if isinstance(result, NotCertified):
        return (
            f"{head}: not certified, {_labels(result.needed)} more needed with a risk up to {result.threshold:g}, "
            f"all without an error ({_so_far(result)}). {_UNTIL_THEN[result.promise.per]}"
        )
    turn = "the only certification" if result.tuning is None else f"certification {result.tuning}"
    return (
        f"{head}, for risks up to {result.threshold:g}: certified. {result.errors} of {_labels(result.n)} wrong, "
        f"p = {result.p_value:.2g} where {result.delta_spent:.2g} was allowed ({turn}), "
        f"valid from {result.valid_from:%Y-%m-%d}."
    )


def _so_far(result: NotCertified) -> str:
    if result.of_all == 0:
        return "no label counts so far"
    at_any = f", {result.errors_of_all} of {result.of_all} at any risk" if result.of_all > result.n else ""
    return f"{result.errors} of {result.n} wrong so far{at_any}"


def _labels(n: int) -> str:
    return "1 label" if n == 1 else f"{n} labels"
