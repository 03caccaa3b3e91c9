"""Tryout: a policy on the tickets of an export, before anything is connected.

It imports numpy, so commands import it only when they are called.
"""

from countersign.tryout.columns import Columns, columns_of
from countersign.tryout.outcome import Given, Groups, Tried, try_out
from countersign.tryout.reading import OldTicket, Tickets, read_tickets
from countersign.tryout.seeing import Assess, Seen

__all__ = [
    "Assess",
    "Columns",
    "Given",
    "Groups",
    "OldTicket",
    "Seen",
    "Tickets",
    "Tried",
    "columns_of",
    "read_tickets",
    "try_out",
]
