"""Spans: a case as the text a model reads, one labelled line for each thing known, so that it can be cited.

What others wrote stands between the marks ⟦ and ⟧, which no such text can hold: it is data, no instructions.
A span is one line, so that nothing in it can pass for another span.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from countersign.alerts import Alert
from countersign.cases import Case
from countersign.context import Found, Missing
from countersign.fingerprint import template
from countersign.redaction import Redacted, Redactor, redact

CASE_TOKENS = 800
SHARED_TOKENS = 1200
# Of which one span takes half at most, so that an endless alert leaves room for its ticket.
_SPAN_TOKENS = CASE_TOKENS // 2
_SHARES = (1.0, 0.6, 0.4, 0.25, 0.1, 0.05)
# A tokenizer takes words and what looks like them (a hash) in pieces, digits by threes, and each sign by itself.
_TOKENS = re.compile(r"[A-Za-z]{1,5}|[0-9]{1,3}|[^\sA-Za-z0-9]|\n")
# What it was hardly taught, as an emoji or a rare script, falls into bytes.
_RARE = re.compile(r"[^\x00-\u024f\u0370-\u06ff\u0e00-\u0e7f\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7a3\s…]")
OPEN, CLOSE = "⟦", "⟧"

# Signs without a shape, as in a class of a pattern: of direction, of no width, and the tags that spell out of sight.
UNSEEN = r"\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
_INVISIBLE = re.compile(rf"[\x00-\x08\x0b-\x1f\x7f-\x9f{UNSEEN}⟦⟧]")
_NEW_LINE = re.compile(r"[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_WHOLE = re.compile(r".*[\s,;\"']", re.DOTALL)
# Chinese, Japanese, Thai and the like put no spaces between words; what may be a value is none of theirs.
_UNSPACED = re.compile(
    r"[^@=:/\\]*[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uff01-\uff0f](?![^@]{0,64}@)"
)
_BREAK = re.compile(r"(?<!\s)\s*\n\s*")  # from the start of a run of spaces alone, or it takes its square
_SPAN = re.compile(r"^\[[a-z]{1,2}\d{1,3}\] .*$", re.MULTILINE)
_SAID = re.compile(r"⟦([^⟦⟧]*)⟧")
# A value cut in its middle would not be known for what it is, so more is redacted than is kept.
_READ_AHEAD = 4
_QUOTE = 240
_BODY = 900
_PROSE = ("body", "text")


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """One citable thing of a case. `title` and the `fields` (name, text, most characters) are others' words;
    `facts` are ours."""

    id: str
    title: str
    facts: str = ""
    fields: tuple[tuple[str, str, int], ...] = ()
    most: int = 240


def case_text(case: Case, visible: frozenset[str], redactor: Redactor) -> Redacted:
    """The case as a model reads it: the visible parts, redacted, most telling first, in CASE_TOKENS."""
    lines, left = [], CASE_TOKENS
    for span in _spans(case, visible):
        line, size = _fitting(span, redactor, min(left - 1, _SPAN_TOKENS))
        if line:
            lines.append(line)
            left -= size + 1
    unknown = f"not known: {', '.join(_unknown(case, visible))}"
    if unknown != "not known: " and tokens(unknown) < left:
        lines.append(unknown)
    return Redacted("\n".join(lines), redactor.hidden)


def ticket_text(title: str, body: str, redactor: Redactor) -> str:
    """A ticket without a case, as one that was born in a desk is read: its title and its text."""
    return _line(Span(id="a1", title=title, fields=(("body", body, _BODY),)), redactor)


def quote(case: Case, span_id: str, visible: frozenset[str]) -> str | None:
    """What a cited span says, in at most 240 characters without secrets; None if there is no such span.

    Its title, and what it says beyond that: an engineer has read the title already.
    """
    for span in _spans(case, visible):
        if span.id == span_id:
            more = [
                text
                for name, text, _ in span.fields
                if name in _PROSE and text.strip() not in ("", span.title)
            ]
            words = _ahead(": ".join(part for part in (span.title, *more) if part), _QUOTE)
            return cut(visible_text(redact(words, frozenset({"secrets"})).text), _QUOTE)
    return None


def said(text: str) -> str:
    """What others wrote in a case's text, without our labels; all of a text that has no marks."""
    return "\n".join(_SAID.findall(text)) or text


def first_title(text: str) -> str:
    """The title of the first span of a case's text."""
    found = _SAID.search(text)
    return found.group(1) if found else text


def span_ids(text: str) -> tuple[str, ...]:
    """The ids that an answer may cite, in the order of the text."""
    return tuple(line[1 : line.index("]")] for line in _SPAN.findall(text))


def visible_text(text: str) -> str:
    """Text without control characters, direction marks and our own marks, on one line."""
    return _BREAK.sub(" / ", _shown(text).strip())


def cut(text: str, most: int) -> str:
    """At most so many characters, whole words and whole placeholders."""
    if len(text) <= most:
        return text
    head, space, _ = text[: most - 1].rpartition(" ")
    kept = (
        head if space and len(head) > most // 2 else text[: most - 1].rpartition("<")[0] or text[: most - 1]
    )
    return f"{kept.rstrip()}…"


def tokens(text: str) -> int:
    """How many tokens a text takes, at most or nearly so, whatever model reads it."""
    common = len(_TOKENS.findall(text))
    return common if text.isascii() else common + 2 * len(_RARE.findall(text))


def _fitting(span: Span, redactor: Redactor, most: int) -> tuple[str, int]:
    """The span's line in so many tokens, its texts cut as far as that needs; "" where nothing of it fits."""
    for share in _SHARES:
        fields = tuple((name, text, round(size * share)) for name, text, size in span.fields)
        line = _line(replace(span, most=round(span.most * share), fields=fields), redactor)
        size = tokens(line)
        if size <= most:
            return line, size
    return "", 0


def _line(span: Span, redactor: Redactor) -> str:
    facts = f" ({cut(visible_text(span.facts), _QUOTE)})" if span.facts else ""
    parts = [f"[{span.id}] {_fenced(span.title, span.most, redactor)}{facts}"]
    parts += [f"{name}={_fenced(text, most, redactor)}" for name, text, most in span.fields if text.strip()]
    return " ".join(parts)


def _fenced(text: str, most: int, redactor: Redactor) -> str:
    return f"{OPEN}{cut(visible_text(redactor.redact(_ahead(text, most)).text), most)}{CLOSE}"


def _ahead(text: str, most: int) -> str:
    """As much of a text as may be needed to redact it and keep so many characters, without hidden ones."""
    part = text[: 2 * most * _READ_AHEAD]
    ahead = _shown(part)
    if len(part) == len(text) and len(ahead) <= most * _READ_AHEAD:
        return ahead
    # What the cut goes through is left out as a whole, or half a value would stay.
    part = ahead[: most * _READ_AHEAD]
    found = _WHOLE.match(part)
    whole = found.group() if found else ""
    more = _UNSPACED.match(part, len(whole))
    return whole + (more.group() if more else "")


def _shown(text: str) -> str:
    return _INVISIBLE.sub("", _NEW_LINE.sub("\n", text))


def _spans(case: Case, visible: frozenset[str]) -> Iterator[Span]:
    """The spans of a case, most telling first: a budget that runs out drops the last."""
    alerts = _telling(case.alerts, case.lead)
    yield from (_alert_span(case, n, alert, visible) for n, alert in enumerate(alerts[:1], 1))
    yield from _ticket_span(case, visible)
    yield from _item_span(case, visible)
    yield from _change_spans(case, visible)
    yield from _similar_spans(case, visible)
    yield from _log_spans(case, visible)
    yield from (_short(_alert_span(case, n, alert, visible)) for n, alert in enumerate(alerts[1:4], 2))


def _telling(alerts: Sequence[Alert], lead: Alert) -> list[Alert]:
    """The lead, then the newest of every other wording: a thousand equal alerts say what one says."""
    wordings = {template(lead.summary): lead}
    for alert in reversed(alerts):
        wordings.setdefault(template(alert.summary), alert)
    return list(wordings.values())


def _alert_span(case: Case, number: int, alert: Alert, visible: frozenset[str]) -> Span:
    facts = [f"alert of {alert.source}, {alert.state}"]
    if "severity" in visible:
        facts.append(f"severity {alert.severity}")
    if number == 1 and case.alert_count > 1:
        facts.append(f"{case.alert_count} alerts, {case.firing} still firing")
    if number == 1 and case.episode > 1:
        facts.append(f"episode {case.episode}")
    fields = (
        ("service", alert.service, 80) if "service" in visible else ("", "", 0),
        ("ci", alert.ci, 80) if "ci" in visible else ("", "", 0),
        ("tags", ", ".join(alert.tags), 160) if "tags" in visible else ("", "", 0),
        ("body", alert.body, _BODY) if "body" in visible else ("", "", 0),
    )
    title = alert.summary if "summary" in visible else ""
    return Span(id=f"a{number}", title=title, facts=", ".join(facts), fields=fields)


def _short(span: Span) -> Span:
    return replace(span, fields=(), most=160)


def _ticket_span(case: Case, visible: frozenset[str]) -> Iterator[Span]:
    ticket = case.ticket
    if ticket is None:
        return
    wanted = "body" in visible and ticket.description.strip() != case.lead.body.strip()
    yield Span(
        id="t1",
        title=ticket.title if "summary" in visible else "",
        # Its key says nothing about what is wrong, and would make two equal questions differ.
        facts=f"ticket, {ticket.state}",
        fields=(("text", ticket.description if wanted else "", 700),),
        most=160,
    )


def _item_span(case: Case, visible: frozenset[str]) -> Iterator[Span]:
    if "ci" in visible and isinstance(case.context.ci, Found):
        item = case.context.ci.value
        fields = (
            ("owner", item.owner_group, 60),
            ("serves", item.service, 60),
            ("criticality", item.criticality, 40),
            ("depends_on", ", ".join(item.depends_on), 120),
        )
        yield Span(id="c1", title=item.name, facts="configuration item", fields=fields, most=80)


def _change_spans(case: Case, visible: frozenset[str]) -> Iterator[Span]:
    if "recent_changes" in visible and isinstance(case.context.changes, Found):
        for number, change in enumerate(case.context.changes.value[:3], 1):
            minutes = round((case.first_at - change.at).total_seconds() / 60)
            when = f"{minutes} min before" if minutes >= 0 else f"{-minutes} min after"
            yield Span(id=f"g{number}", title=change.title, facts=f"change {change.key}, {when}", most=140)


def _similar_spans(case: Case, visible: frozenset[str]) -> Iterator[Span]:
    if "similar_cases" in visible and isinstance(case.context.similar, Found):
        for number, past in enumerate(case.context.similar.value[:3], 1):
            fields = (("resolution", past.resolution, 120),)
            facts = f"earlier case {past.ticket_key}, {past.category}"
            yield Span(id=f"s{number}", title=past.title, facts=facts, fields=fields, most=120)


def _log_spans(case: Case, visible: frozenset[str]) -> Iterator[Span]:
    if "logs" in visible and isinstance(case.context.logs, Found):
        for number, line in enumerate(case.context.logs.value[:5], 1):
            yield Span(id=f"l{number}", title=line, facts="log", most=180)


def _unknown(case: Case, visible: frozenset[str]) -> Iterator[str]:
    context = case.context
    parts = (
        ("ci", "configuration item", context.ci),
        ("recent_changes", "changes", context.changes),
        ("logs", "logs", context.logs),
        ("similar_cases", "similar cases", context.similar),
    )
    for part, name, value in parts:
        if part in visible and isinstance(value, Missing):
            yield f"{name} ({visible_text(value.reason)[:80]})"
