"""Rows: corrections as data, one row each, and which of them an evaluation may not have been taught with."""

from __future__ import annotations

from countersign.fingerprint import of_ticket

WORDS = "words:"


def cluster_of(fingerprint: str, template: str, desk: str, ticket_id: str) -> str:
    """What goes wrong in the same way again: the fingerprint; of a ticket that no alert opened, its title's words.

    Such a ticket has a fingerprint of its own, which nothing else will ever have.
    """
    born_there = bool(ticket_id) and fingerprint == of_ticket(desk, ticket_id)
    return f"{WORDS}{template}" if born_there else fingerprint
