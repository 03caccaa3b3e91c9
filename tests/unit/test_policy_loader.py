"""The loader of policies: a policy, or every mistake with its line and what to write instead."""

# ruff: noqa: E501 - a sentence that must be told exactly stays on one line

from __future__ import annotations

from functools import reduce
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from countersign.errors import CountersignError
from countersign.policy import Policy, PolicyError, load_policy

POLICIES = Path(__file__).parents[2] / "policies"
SHIPPED = sorted(POLICIES.glob("*.yaml"))

GOOD = """\
use_case: small
version: 1
purpose: Show the loader.
owners: {product: a, platform: b, governance: c, business: d}
scope:
  sources: [pagerduty]
  desk: servicenow
autonomy: act
rules:
  - name: noise
    when: {category: [recovered], severity: {at_most: low}}
    then: close
    threshold: {risk_below: 0.05}
  - name: the rest
    then: draft_note
approvals: {approvers: {servicenow_group: noc}}
"""


def told(text: str) -> list[str]:
    """The problems of a text, as shown to its writer."""
    with pytest.raises(PolicyError) as caught:
        load_policy(text, name="p.yaml")
    return [str(problem) for problem in caught.value.problems]


def edited(*edits: tuple[str, str]) -> str:
    """The good policy with each first text replaced by the second."""
    assert all(old in GOOD for old, _ in edits)
    return reduce(lambda text, edit: text.replace(*edit, 1), edits, GOOD)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_policy_loads(path: Path) -> None:
    """What we ship as an example is accepted, and is called after its use case."""
    assert load_policy(path.read_text(), name=path.name).use_case == path.stem


def test_three_policies_are_shipped() -> None:
    """One for ServiceNow, one for Jira, and one that only observes."""
    assert [path.stem for path in SHIPPED] == ["alert-triage", "jira-triage", "observe-first"]


MISTAKES = {
    "wrong word": (
        ("then: close", "then: clsoe"),
        'p.yaml:12: rules[0].then: "clsoe" is not one of close, draft_change, draft_note, route, hold; write "close".',
    ),
    "unknown key": (
        ("autonomy: act", "autonomi: act"),
        'p.yaml:8: autonomi: "autonomi" is not a key here; did you mean "autonomy"?',
    ),
    "key of another section": (
        ("autonomy: act", "autonomy: act\ndesk: jira"),
        'p.yaml:9: desk: "desk" is not a key here; it belongs under scope.',
    ),
    "missing key": (
        ("  desk: servicenow\n", ""),
        "p.yaml:5: scope.desk: is missing; write desk: … (system whose tickets are read and written).",
    ),
    "missing at the top": (
        ("purpose: Show the loader.\n", ""),
        "p.yaml:1: purpose: is missing; write purpose: … (one sentence: what it is for).",
    ),
    "other system's severity": (
        ("at_most: low", "at_most: warning"),
        'p.yaml:11: rules[0].when.severity.at_most: "warning" is not one of info, low, medium, high, critical; write "medium".',
    ),
    "number for text": (
        ("purpose: Show the loader.", "purpose: 7"),
        'p.yaml:3: purpose: 7 is not a text; write "7" in quotes.',
    ),
    "text for number": (
        ("version: 1", 'version: "1"'),
        'p.yaml:2: version: "1" does not fit; write a whole number, as 10.',
    ),
    "text for list": (
        ("[pagerduty]", "pagerduty"),
        'p.yaml:6: scope.sources: "pagerduty" is not a list; write [pagerduty].',
    ),
    "text for section": (
        ("{servicenow_group: noc}", "noc"),
        'p.yaml:16: approvals.approvers: "noc" is not a section; '
        "write its keys below it, indented (servicenow_group, jira_group, people).",
    ),
    "bad name": (
        ("use_case: small", "use_case: Small One"),
        'p.yaml:1: use_case: "Small One" does not have the right form; write a small letter, then small letters, digits, - and _ (63 at most), as alert-triage.',
    ),
    "too large": (
        ("autonomy: act", "control_lane: 0.7"),
        "p.yaml:8: control_lane: 0.7 does not fit; write at most 0.5.",
    ),
    "share in percent": (
        ("autonomy: act", "control_lane: 10 %"),
        'p.yaml:8: control_lane: "10 %" is a text; write 0.1.',
    ),
    "percent as a number": (
        ("risk_below: 0.05", "risk_below: 5"),
        "p.yaml:13: rules[0].threshold.risk_below: 5 does not fit; write less than 1, as 0.05 for 5 %.",
    ),
    "comma for point": (
        ("risk_below: 0.05", 'risk_below: "0,05"'),
        'p.yaml:13: rules[0].threshold.risk_below: "0,05" is a text; write 0.05.',
    ),
    "what may be a thousand": (
        ("autonomy: act", "kpi: {metric: tickets, target: '1,000'}"),
        'p.yaml:8: kpi.target: "1,000" does not fit; write a number, as 0.5.',
    ),
    "nothing": (
        ("risk_below: 0.05", "risk_below: 0"),
        "p.yaml:13: rules[0].threshold.risk_below: 0 does not fit; write more than 0.",
    ),
    "empty list": (
        ("[pagerduty]", "[]"),
        "p.yaml:6: scope.sources: a list of 0 is too short; write at least 1 in it.",
    ),
    "section for list": (
        ("[pagerduty]", "{pagerduty: true}"),
        'p.yaml:6: scope.sources: a section is not a list; begin each item with a dash and a space, as "- ".',
    ),
    "blank name": (
        ("governance: c", "governance: ' '"),
        "p.yaml:4: owners.governance: nothing but spaces; write a word.",
    ),
    "bad name of a calendar": (
        ("autonomy: act", "calendars:\n  Year End:\n    - {from: 2026-12-15, to: 2026-12-16}"),
        'p.yaml:9: calendars.Year End: "Year End" does not have the right form; write a small letter, then small letters, digits, - and _ (63 at most), as alert-triage.',
    ),
    "window of no length": (
        ("autonomy: act", "calendars: {freeze: [{from: 2026-12-15T08:00+01:00, to: 2026-12-15T07:00Z}]}"),
        "p.yaml:8: calendars.freeze[0]: `to` is the same as `from`; write a later one.",
    ),
    "bad time": (
        ("autonomy: act", "desk_hold: 6 min"),
        'p.yaml:8: desk_hold: "6 min" is not a duration; write a whole number and a unit, as "30s", "10m", "24h" or "7d".',
    ),
    "no time": (
        ("autonomy: act", "feedback: {reopened_within: 0s}"),
        'p.yaml:8: feedback.reopened_within: 0s is not allowed here; write a longer time, as "10m".',
    ),
    "missing owner": (
        (", governance: c, business: d", ""),
        "p.yaml:8: autonomy: act is refused while an owner is missing (governance, business); "
        "name them under `owners`, or write draft.",
    ),
    "threshold missing": (
        ("    threshold: {risk_below: 0.05}\n", ""),
        "p.yaml:10: rules[0]: `then: close` needs `threshold`; write threshold: {risk_below: 0.05}.",
    ),
    "threshold elsewhere": (
        ("then: draft_note", "then: draft_note\n    threshold: {risk_below: 0.05}"),
        "p.yaml:14: rules[1]: `threshold` belongs to `then: close` only; remove it.",
    ),
    "two forms": (
        ("{risk_below: 0.05}", "{risk_below: 0.05, wrong_closes_at_most: 0.02, sure: 0.95}"),
        "p.yaml:13: rules[0].threshold: a threshold has exactly one form; "
        "write {wrong_closes_at_most: 0.02, sure: 0.95} or {risk_below: 0.05}.",
    ),
    "half a promise": (
        ("{risk_below: 0.05}", "{sure: 0.95}"),
        "p.yaml:13: rules[0].threshold: a threshold has exactly one form; "
        "write {wrong_closes_at_most: 0.02, sure: 0.95} or {risk_below: 0.05}.",
    ),
    "empty severity": (
        ("{at_most: low}", "{at_least: high, at_most: low}"),
        "p.yaml:11: rules[0].when.severity: no severity is at least high and at most low; swap the two.",
    ),
    "no last rule": (
        ("  - name: the rest\n    then: draft_note\n", ""),
        'p.yaml:10: rules[0]: the last rule must match everything, and "noise" does not; '
        "add a last rule without `when`, as {name: the rest, then: draft_note}.",
    ),
    "unreachable rule": (
        ("    when: {category: [recovered], severity: {at_most: low}}\n", ""),
        'p.yaml:10: rules[0]: rule "noise" matches everything, so the rules after it are never reached; '
        "move it to the end, or give it a `when`.",
    ),
    "same name": (
        ("name: the rest", "name: noise"),
        'p.yaml:14: rules[1].name: two rules are called "noise"; rename one.',
    ),
    "unknown category": (
        ("[recovered]", "[recoverd]"),
        'p.yaml:11: rules[0].when.category[0]: "recoverd" is not a category of this policy; write "recovered".',
    ),
    "source out of scope": (
        ("{category: [recovered],", "{source: [splunk],"),
        "p.yaml:11: rules[0].when.source[0]: splunk is not among scope.sources, so the rule never matches; add it there.",
    ),
    "no word for the rest": (
        ("autonomy: act", "categories: [recovered, capacity]"),
        'p.yaml:8: categories: "other" is missing, and the model needs a word for what fits nowhere; add it.',
    ),
    "unknown calendar": (
        ("autonomy: act", "never_close: {calendars: [freeze]}"),
        'p.yaml:8: never_close.calendars[0]: "freeze" is not defined under `calendars`; '
        "write calendars: {freeze: [{from: 2026-12-15, to: 2027-01-07}]}.",
    ),
    "time without offset": (
        ("autonomy: act", "calendars: {freeze: [{from: 2026-12-15T08:00, to: 2026-12-16}]}"),
        "p.yaml:8: calendars.freeze[0].from: 2026-12-15T08:00:00 has no offset; "
        'write a date, as "2026-12-15", or a time with its offset, as "2026-12-15T08:00+01:00".',
    ),
    "calendar backwards": (
        ("autonomy: act", "calendars: {freeze: [{from: 2026-12-15, to: 2026-12-01}]}"),
        "p.yaml:8: calendars.freeze[0]: `to` lies before `from`; swap them.",
    ),
    "unknown zone": (
        ("autonomy: act", 'report: {when: "Mon 07:00", zone: Europe/Rom, to: [a]}'),
        'p.yaml:8: report.zone: "Europe/Rom" is not a time zone; write one as "Europe/Rome" or "UTC".',
    ),
    "nobody approves": (
        ("{approvers: {servicenow_group: noc}}", "{}"),
        "p.yaml:16: approvals: nobody may approve what the rules draft; write approvers: "
        "{servicenow_group: …}, {jira_group: …} or {people: [...]}.",
    ),
    "approvers of another desk": (
        ("servicenow_group", "jira_group"),
        "p.yaml:16: approvals.approvers.jira_group: scope.desk is servicenow, "
        "where a jira group can't be looked up; write servicenow_group.",
    ),
    "price": (
        ("autonomy: act", "model: {budget: {usd_per_day: lots}}"),
        'p.yaml:8: model.budget.usd_per_day: "lots" does not fit; write US dollars as a number, as 25 or 0.50.',
    ),
    "written twice": (
        ("version: 1", "version: 1\nversion: 2"),
        'p.yaml:3: version: "version" is written twice, first in line 2; keep one.',
    ),
    "anchor": (
        ("{risk_below", "&t {risk_below"),
        "p.yaml:13: rules[0].threshold: &t is an anchor, which is not allowed; remove it.",
    ),
    "alias": (
        ("use_case: small", "use_case: *small"),
        "p.yaml:1: use_case: *small is an alias, which is not allowed; write the value out.",
    ),
    "tag": (
        ("version: 1", "version: !!int 1"),
        "p.yaml:2: version: !!int is a tag, which is not allowed; remove it.",
    ),
    "merge key": (
        ("version: 1", "version: 1\n<<: {a: b}"),
        "p.yaml:3: << is a merge key, which is not allowed; write the keys out.",
    ),
    "number as key": (("version: 1", "version: 1\n7: x"), 'p.yaml:3: 7 is not a word; write "7": in quotes.'),
    "list as key": (
        ("version: 1", "version: 1\n? [a]\n: x"),
        "p.yaml:3: a key is one word, not a list or a section; write it as a word.",
    ),
    "yes as key": (
        ("version: 1", "version: 1\non: x"),
        'p.yaml:3: on without quotes is true or false to some programs; write true, false or "on".',
    ),
    "yes as value": (
        ("purpose: Show the loader.", "purpose: yes"),
        'p.yaml:3: purpose: yes without quotes is true or false to some programs; write true, false or "yes".',
    ),
    "octal": (
        ("version: 1", "version: 010"),
        'p.yaml:2: version: 010 without quotes is another number to some programs; write a plain number, or "010" as text.',
    ),
    "tab": (("  desk:", "\tdesk:"), "p.yaml:7: a tab can't be used here; indent with spaces."),
    "second colon": (
        ("purpose: Show", "purpose: a: b"),
        "p.yaml:3: a second colon in one line; put the text in quotes, or start a new line.",
    ),
    "indented deeper": (
        ("  sources: [pagerduty]\n  desk: servicenow", "  desk: servicenow\n    sources: [pagerduty]"),
        "p.yaml:7: this is indented deeper than its neighbours; line it up with the keys beside it.",
    ),
    "quote that is not closed": (
        ("purpose: Show", 'purpose: "Show'),
        "p.yaml:3: a quote is not closed; close it.",
    ),
    "quote that ends too soon": (
        ("name: noise", "name: 'it's noise'"),
        "p.yaml:10: there is text after a closing quote, here or where a quote above was meant to end; mend the quotes.",
    ),
    "list that is not closed": (
        ("[pagerduty]", "[pagerduty"),
        "p.yaml:6: a list in brackets is not closed, or lacks a comma; write [a, b].",
    ),
    "section that is not closed": (
        ("severity: {at_most: low}}", "severity: {at_most: low}"),
        "p.yaml:11: a section in braces is not closed, or lacks a comma; write {a: 1, b: 2}.",
    ),
    "no space after a colon": (
        ("autonomy: act", "autonomy:act"),
        "p.yaml:8: a key needs a colon and a plain space after it; write key: value.",
    ),
    "no space after a dash": (
        ("  - name: the rest", "  -name: the rest"),
        "p.yaml:14: a dash needs a space after it; write - name.",
    ),
    "star": (
        ("[pagerduty]", "[*]"),
        "p.yaml:6: * and & have another meaning in YAML; put the text in quotes.",
    ),
    "invisible character": (
        ("purpose: Show", "purpose: \u200bShow"),
        "p.yaml:3: purpose: the character U+200B can't be seen in print; remove it, or write a plain space.",
    ),
    "null byte": (
        ("purpose: Show", "purpose: \x00"),
        "p.yaml:3: the character U+0000 can't be seen in print; remove it, or write a plain space.",
    ),
    "second document": (
        ("approvals:", "---\napprovals:"),
        "p.yaml:16: one file holds one policy; remove everything from this line on.",
    ),
    "number for a duration": (
        ("approvals: {", "approvals: {expires_after: 24, "),
        'p.yaml:16: approvals.expires_after: 24 is not a duration; write a whole number and a unit, as "30s", "10m", "24h" or "7d".',
    ),
    "empty range": (
        ("severity: {at_most: low}", "severity: {}"),
        "p.yaml:11: rules[0].when.severity: a severity range needs at_least, at_most or both; write one as {at_most: low}.",
    ),
    "number for a date": (
        ("approvals:", "calendars: {freeze: [{from: 7, to: 2026-12-31}]}\napprovals:"),
        'p.yaml:16: calendars.freeze[0].from: 7 is not a date; write a date, as "2026-12-15", or a time with its offset, as "2026-12-15T08:00+01:00".',
    ),
    "word for a date": (
        ("approvals:", "calendars: {freeze: [{from: tomorrow, to: 2026-12-31}]}\napprovals:"),
        'p.yaml:16: calendars.freeze[0].from: "tomorrow" is not a date; write a date, as "2026-12-15", or a time with its offset, as "2026-12-15T08:00+01:00".',
    ),
    "last day of all": (
        ("approvals:", "calendars: {freeze: [{from: 2026-12-15, to: 9999-12-31}]}\napprovals:"),
        "p.yaml:16: calendars.freeze[0]: the year 9999 is too far; write an earlier one.",
    ),
    "directive": (
        ("use_case", "%YAML 1.1\n---\nuse_case"),
        "p.yaml:1: a line that starts with % is not allowed; remove it.",
    ),
}


@pytest.mark.parametrize(("edit", "sentence"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_by_line_with_what_to_write(edit: tuple[str, str], sentence: str) -> None:
    """One mistake gives exactly one problem, in exactly these words."""
    assert told(edited(edit)) == [sentence]


def test_the_policy_without_mistakes_loads() -> None:
    """The text that the mistakes are made in is itself good, so each message is about its mistake."""
    assert isinstance(load_policy(GOOD, name="p.yaml"), Policy)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    """Refused YAML, wrong values and contradictions between sound sections come together."""
    text = edited(
        ("version: 1", "version: &v 1"),
        (", business: d", ""),
        ("desk: servicenow", "desk: servicnow"),
        ("[recovered]", "[recoverd]"),
    )
    assert [line.split(" ")[0:2] for line in told(text)] == [
        ["p.yaml:2:", "version:"],
        ["p.yaml:7:", "scope.desk:"],
        ["p.yaml:8:", "autonomy:"],
        ["p.yaml:11:", "rules[0].when.category[0]:"],
    ]


def test_a_problem_knows_its_column() -> None:
    """Editors can jump to the place."""
    with pytest.raises(PolicyError) as caught:
        load_policy(edited(("then: close", "then: clsoe")), name="p.yaml")
    problem = caught.value.problems[0]
    assert (problem.file, problem.line, problem.column, problem.where) == ("p.yaml", 12, 11, "rules[0].then")


def test_a_policy_error_is_an_error_of_countersign_and_shows_no_more_than_people_read() -> None:
    """Hundreds of problems are kept, and thirty are shown."""
    with pytest.raises(CountersignError) as caught:
        load_policy(GOOD + "".join(f"wrong{number}: 1\n" for number in range(100)), name="p.yaml")
    lines = str(caught.value).splitlines()
    assert len(lines) == 31
    assert lines[-1] == "… and 70 more; mend these first."


BOMBS = {
    "aliases": "a: &a [x, x]\n"
    + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefghij", "bcdefghijk", strict=True)),
    "brackets": "[" * 20_000,
    "closed brackets": "a: " + "[" * 20_000 + "]" * 20_000,
    "braces": "{a: " * 15_000,
    "dashes": "- " * 20_000,
    "question marks": "? " * 20_000,
    "indentation": "\n".join(" " * depth + "a:" for depth in range(300)),
    "many values": "a: [" + "1," * 20_000 + "]",
    "long": "a: " + "x" * 70_000,
    "long in bytes": "a: " + "ä" * 40_000,
    "impossible escape": 'a: "\\UFFFFFFFF"',
    "lone surrogate": 'a: "\\ud800"',
    "surrogate in the text": "a: \ud800",
    "long version": "%YAML 1." + "1" * 5_000 + "\n---\na: b",
    "long number": "version: " + "9" * 6_000,
    "huge number": "control_lane: 1e999",
    "empty": "",
    "a list": "[]",
    "a word": "policy",
    "only a comment": "# nothing",
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS.keys())
def test_a_hostile_text_is_refused_in_sentences(text: str) -> None:
    """Bombs, deep nesting and impossible characters end as a PolicyError, without a traceback or a hang."""
    problems = told(text)
    assert problems
    assert all(problem.endswith((".", "?", "…", ")")) for problem in problems)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (BOMBS["brackets"], "p.yaml:1: this is nested more than 20 deep; write it flatter."),
        (BOMBS["many values"], "p.yaml:1: the file has more than 5000 values; write a shorter policy."),
        (BOMBS["long in bytes"], "p.yaml:1: the file has 80003 bytes; write a policy of at most 65536."),
        (BOMBS["empty"], "p.yaml:1: the file is empty; start it with use_case, version and purpose."),
    ],
)
def test_each_limit_is_named(text: str, sentence: str) -> None:
    """Size, depth and number of values are limited, and the message says by how much."""
    assert told(text) == [sentence]


def test_words_that_only_look_special_stay_text() -> None:
    """Quoted words, dates and times are text; true, numbers and nothing are what they look like."""
    text = edited(
        ("servicenow_group: noc", 'people: ["yes", "010", 2026-12-15, a:b, "~"]'),
        ("{category: [recovered],", "{recovered: True,"),
    )
    policy = load_policy(text, name="p.yaml")
    assert policy.approvals.approvers.people == ("yes", "010", "2026-12-15", "a:b", "~")
    assert policy.rules[0].when.recovered is True


def loads_or_tells(text: str) -> bool:
    """Whether the loader kept its word: a Policy, or a PolicyError with problems."""
    try:
        return isinstance(load_policy(text, name="p.yaml"), Policy)
    except PolicyError as error:
        return bool(error.problems)


@given(st.text(max_size=400))
@example("a: !<tag:x> &b\n? *c")
@example("? - ? -")
@example("'")
def test_any_text_is_a_policy_or_told_problems(text: str) -> None:
    """Never another exception, whatever the text."""
    assert loads_or_tells(text)


YAML_PIECES = st.sampled_from(
    [
        "a",
        ": ",
        "- ",
        "\n",
        "  ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "&a ",
        "*a",
        "!!str ",
        "? ",
        "<<",
        "'",
        '"',
        "|",
        ">",
        "#",
        "%",
        "@",
        "---",
        "...",
        "\t",
        "1",
        "yes",
        "rules",
        "scope",
        "then",
        "close",
        "null",
        "~",
        "\\U",
        "\ud800",
        "\u2028",
        "\ufeff",
    ]
)


@given(st.lists(YAML_PIECES, max_size=60).map("".join))
def test_any_heap_of_yaml_is_a_policy_or_told_problems(text: str) -> None:
    """Never another exception, for texts made of YAML's own signs."""
    assert loads_or_tells(text)


LINES = st.integers(0, len(GOOD.splitlines()) - 1)
VALUES = st.sampled_from(
    ["", "x", "-1", "1e999", "[]", "{}", "[[a]]", "{a: b}", "null", "true", "'  '", "2026-01-01", "*x", "0.5"]
)


@given(st.lists(st.tuples(LINES, VALUES), min_size=1, max_size=4))
def test_any_value_in_any_line_is_a_policy_or_told_problems(changes: list[tuple[int, str]]) -> None:
    """A good policy with values of other kinds put in its lines is still told by sentence."""
    lines = GOOD.splitlines()
    for line, value in changes:
        lines[line] = f"{lines[line].split(':')[0]}: {value}"
    assert loads_or_tells("\n".join(lines))
