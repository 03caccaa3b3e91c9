"""The one list of where vendors are known not to do what they publish; docs/deviations.md is made of it.

`python -m tests.deviations` writes that page anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "deviations.md"
_HEAD = """# Where vendors deviate from what they publish

Made of the list in `tests/deviations.py` by `python -m tests.deviations`; a test keeps the two equal.
The connectors are made for what is real, and the sandbox imitates it. Where the vendors' documents are at hand
(`COUNTERSIGN_CONTRACTS`), tests allow for these lines alone.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """`shows` are parts of the complaints and differences in which tests see it; empty where none can."""

    vendor: str
    where: str
    published: str
    real: str
    so: str
    shows: tuple[str, ...] = ()


DEVIATIONS: tuple[Deviation, ...] = (
    Deviation(
        vendor="datadog",
        where="events: attributes.attributes.priority",
        published="one of normal, low, 1 to 5",
        real="null for a monitor without a priority",
        so="read as no priority; the event's status decides the severity",
        shows=("priority has no value ['None']", "'priority']: None"),
    ),
    Deviation(
        vendor="datadog",
        where="events: attributes.attributes.monitor.transition",
        published="no such field",
        real="tells which state a monitor left and reached",
        so="read where it is there; else the event's status decides",
        shows=("monitor.transition is not published",),
    ),
    Deviation(
        vendor="datadog",
        where="all operations: a call without valid keys",
        published="400, 403 and 429 alone",
        real="401 as well",
        so="401 and 403 both stop the connector and say what to mend",
    ),
    Deviation(
        vendor="datadog",
        where="cases: error bodies and media type",
        published="errors are texts in application/json",
        real="errors are objects, in application/vnd.api+json",
        so="the texts in any error body are found wherever they stand",
    ),
    Deviation(
        vendor="pagerduty",
        where="include[] of lists",
        published="one text",
        real="repeated, for several",
        so="sent repeated",
        shows=("include[] is string, not array",),
    ),
    Deviation(
        vendor="pagerduty",
        where="fields of incidents, notes and log entries that hold nothing",
        published="not nullable",
        real="null",
        so="null and missing are read alike",
        shows=("'resolved_at']: None",),
    ),
    Deviation(
        vendor="pagerduty",
        where="log entries: which kinds there are",
        published="one of some schemas that exclude each other",
        real="fields of several",
        so="read by type, field by field",
        shows=("['log_entries', 0]: ",),
    ),
    Deviation(
        vendor="pagerduty",
        where="log entries: a reopening",
        published="no type for it",
        real="not known; reopen_log_entry by analogy",
        so="an unknown type is passed over, and the incident's status tells all the same",
    ),
    Deviation(
        vendor="splunk",
        where="refusals of JSON calls",
        published="messages in the asked output mode",
        real="XML where the refusal comes before output_mode is read",
        so="a refusal is judged by its status; its text is shown where it is JSON",
    ),
    Deviation(
        vendor="splunk",
        where="a form without Content-Type",
        published="application/x-www-form-urlencoded",
        real="read all the same; the SDK sends none",
        so="left as the SDK does it",
    ),
    Deviation(
        vendor="jira",
        where="fields and properties of GET issue",
        published="lists",
        real="one text with commas is taken too",
        so="sent with commas",
        shows=("fields is array, not string", "properties is array, not string"),
    ),
    Deviation(
        vendor="jira",
        where="times",
        published="date-time, whose offset has a colon",
        real="an offset without a colon, as +0000",
        so="both are read",
        shows=("+0000' is not a 'date-time'",),
    ),
    Deviation(
        vendor="jira",
        where="changelog: from and to of an item",
        published="not nullable",
        real="null for what has no id",
        so="null and missing are read alike",
        shows=("'from']: None ", "'to']: None "),
    ),
    Deviation(
        vendor="jira",
        where="answers with status 204",
        published="a media type",
        real="no body",
        so="a body is no proof that anything was done, so it leaves us unsure",
        shows=("Missing response data",),
    ),
    Deviation(
        vendor="jira",
        where="attachments: X-Atlassian-Token",
        published="in the text, but not among the parameters",
        real="403 without it",
        so="sent",
        shows=("parameter X-Atlassian-Token is not published",),
    ),
    Deviation(
        vendor="jira",
        where="POST search/jql: expand and properties",
        published="not nullable",
        real="null is taken; the SDK sends it for what it was not asked to send",
        so="left as the SDK does it",
    ),
    Deviation(
        vendor="servicenow",
        where="Table API: sysparm_fields, sysparm_display_value, sysparm_exclude_reference_link of POST and PATCH",
        published="in the text of each operation; not in the collected extract",
        real="shape the answer as they do for GET",
        so="sent",
        shows=(
            "parameter sysparm_fields is not published",
            "parameter sysparm_display_value is not published",
            "parameter sysparm_exclude_reference_link is not published",
        ),
    ),
    Deviation(
        vendor="servicenow",
        where="Change Management API: values of a change",
        published="pairs of value and display_value of one type",
        real="numbers and truth values beside texts, as 1.0 for 1",
        so="read as text, whole numbers without their point",
    ),
)


def parts(vendor: str) -> tuple[str, ...]:
    """The parts of lines by which the known deviations of a vendor show."""
    return tuple(part for one in DEVIATIONS if one.vendor == vendor for part in one.shows)


def page() -> str:
    rows = [f"| {one.vendor} | {one.where} | {one.published} | {one.real} | {one.so} |" for one in DEVIATIONS]
    head = ["| vendor | where | published | real | so we |", "|---|---|---|---|---|"]
    return "\n".join([_HEAD, *head, *rows, ""])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
