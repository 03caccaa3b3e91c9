"""Mailing: what is missing for a policy's reports to be mailed, as sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from countersign.policy import Policy


def unmailed(mail: object | None, policies: Iterable[Policy]) -> Iterator[str]:
    """Why reports reach nobody: a policy names people, and no mail server is set."""
    if mail is not None:
        return
    for policy in policies:
        if policy.report is not None:
            people = ", ".join(policy.report.to)
            yield (
                f"{policy.use_case} wants its report mailed to {people}, but no mail server is set: nobody gets it. "
                "Add `mail:` to the configuration, or take `report:` out of the policy."
            )
