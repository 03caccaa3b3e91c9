"""One rule of a policy: what it matches, what may happen then, and under which threshold."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from countersign.policy.fields import Fraction, Name, Names, Part
from countersign.severity import Severity

SourceName = Literal["datadog", "splunk", "pagerduty", "servicenow", "jira"]
Then = Literal["close", "draft_change", "draft_note", "route", "hold"]


class SeverityRange(Part):
    """Severities from `at_least` to `at_most`, both included; a missing end is open."""

    at_least: Severity | None = Field(default=None, description="Lowest severity that matches.")
    at_most: Severity | None = Field(default=None, description="Highest severity that matches.")

    @model_validator(mode="after")
    def _in_order(self) -> SeverityRange:
        if self.at_least is None and self.at_most is None:
            raise ValueError("a severity range needs at_least, at_most or both; write one as {at_most: low}.")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(
                f"no severity is at least {self.at_least} and at most {self.at_most}; swap the two."
            )
        return self

    def covers(self, severity: Severity) -> bool:
        """Whether a severity lies in the range."""
        low, high = self.at_least or Severity.INFO, self.at_most or Severity.CRITICAL
        return low <= severity <= high


class When(Part):
    """Conditions of a rule. All that are written must hold; none written matches everything."""

    category: Names | None = Field(default=None, description="The assessed category is one of these.")
    severity: SeverityRange | None = Field(default=None, description="The severity lies in this range.")
    services: Names | None = Field(default=None, description="The service is one of these.")
    tags: Names | None = Field(default=None, description="At least one of these tags is present.")
    source: tuple[SourceName, ...] | None = Field(
        default=None, min_length=1, description="The alert came from one of these sources."
    )
    recovered: bool | None = Field(
        default=None,
        strict=True,
        description="true: only cases whose alerts have all recovered; false: only others.",
    )

    @property
    def is_everything(self) -> bool:
        """Whether no condition is written."""
        return self == _EVERYTHING


_EVERYTHING = When()


class Threshold(Part):
    """How sure one must be to close: a certified promise, or a plain limit on risk while labels are few."""

    wrong_closes_at_most: Fraction | None = Field(
        default=None,
        description="Certified promise: the largest share of closes that may be wrong. Where two rules promise for one "
        "category, neither closes it before the stricter promise is certified.",
    )
    sure: Fraction | None = Field(
        default=None, description="Certified promise: how sure the certificate must be, as 0.95."
    )
    per: Literal["close", "ticket"] = Field(
        default="close",
        description="Certified promise: of what the wrong closes are a share. ticket: of all that comes in of a "
        "category, which fewer labels can show, and which promises less.",
    )
    risk_below: Fraction | None = Field(
        default=None, description="Plain limit: close when the calibrated risk lies below this."
    )

    @model_validator(mode="after")
    def _one_form(self) -> Threshold:
        promise = (self.wrong_closes_at_most is not None, self.sure is not None)
        if (self.risk_below is not None) == any(promise) or any(promise) != all(promise):
            raise ValueError(
                "a threshold has exactly one form; "
                "write {wrong_closes_at_most: 0.02, sure: 0.95} or {risk_below: 0.05}."
            )
        return self


class Change(Part):
    """The change request that a rule drafts."""

    type: Literal["normal", "standard", "emergency"] = Field(
        default="normal", description="Type of the change."
    )
    group: Name | None = Field(default=None, description="Group to which the change is assigned.")
    template: Name | None = Field(default=None, description="The desk's template for the change, by name.")


# What each key of a rule belongs to, and an example to show when it is missing there.
_EXAMPLES = {"close": ("threshold", "{risk_below: 0.05}"), "draft_change": ("change", "{type: normal}")}


class Rule(Part):
    """One line of the boundary. The first rule that matches a case decides."""

    name: Name = Field(
        description="Name of the rule, unique in the policy; shown in every ticket it touches."
    )
    when: When = Field(
        default=_EVERYTHING, description="What the rule matches; leave it out to match everything."
    )
    then: Then = Field(
        description="What may happen: close the ticket, draft a change request (a note where the answer is as "
        "likely wrong), draft a note, route to people without a draft, or hold (record only)."
    )
    threshold: Threshold | None = Field(
        default=None, description="Needed with `then: close`, and only there."
    )
    change: Change | None = Field(
        default=None, description="Needed with `then: draft_change`, and only there."
    )
    route: Name | None = Field(
        default=None,
        description="Group that gets the ticket, unless the answer is as likely wrong; without it escalation.route_to, "
        "or whoever has it.",
    )

    @model_validator(mode="after")
    def _keys_fit(self) -> Rule:
        for then, (key, example) in _EXAMPLES.items():
            given = getattr(self, key) is not None
            if given and self.then != then:
                raise ValueError(f"`{key}` belongs to `then: {then}` only; remove it.")
            if not given and self.then == then:
                raise ValueError(f"`then: {then}` needs `{key}`; write {key}: {example}.")
        return self
