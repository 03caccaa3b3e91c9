"""Mails: what a mail is made of, before anybody sends it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """A file that goes with a mail. `media_type` as text/csv."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Mail:
    """One mail to one person. `text` says all of it; `html`, if there is any, too, and shows `picture` as cid:picture.

    `id` names the mail for ever, so that the same mail has the same Message-ID whoever sends it.
    """

    id: str
    to: str
    subject: str
    text: str
    html: str = ""
    picture: File | None = None
    files: tuple[File, ...] = ()
