"""The mailer: one mail in one SMTP conversation, step by step, so that it is known whether it was taken."""

from __future__ import annotations

import re
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from typing import Literal

from countersign.errors import Denied, Permanent, Transient, Unsure
from countersign.mails import Mail
from countersign.ports import Check

WHERE = "mail"
# Longest wait for a connection and for one reply.
TIMEOUT_S = 20.0
_READY_FOR_DATA, _TAKEN = 354, 250
_LEADING_DOT = re.compile(rb"(?m)^\.")
Tls = Literal["starttls", "implicit", "none"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SmtpConfig:
    """One server. `tls`: starttls (port 587), implicit (465) or none; `ca` is a PEM file, "" for the system's."""

    host: str
    port: int
    sender: str
    user: str = ""
    password: str = field(default="", repr=False)
    tls: Tls = "starttls"
    ca: str = ""
    timeout_s: float = TIMEOUT_S


class SmtpMailer:
    """The port Mailer. Opens a connection for each mail; threads may share one."""

    def __init__(self, config: SmtpConfig) -> None:
        self._config = config

    def send(self, mail: Mail) -> None:
        """Returns once the server has taken it. Unsure: all was said, but no answer came.

        Transient and Permanent: it was not taken. Denied: the server does not know us.
        """
        content = _message(mail, self._config.sender).as_bytes(policy=SMTP)
        with self._conversation() as server:
            _accepted(server.mail(self._config.sender))
            _accepted(server.rcpt(mail.to))
            _accepted(server.docmd("DATA"), _READY_FOR_DATA)
            # If this fails, the server has not seen the end of the mail and can't have taken it.
            server.send(_LEADING_DOT.sub(b"..", content) + b".\r\n")
            try:
                reply = server.getreply()
            except (OSError, smtplib.SMTPException) as lost:
                raise Unsure(
                    f"The mail server {self._config.host} did not say whether it took the mail; ask its owner.",
                    where=WHERE,
                ) from lost
            _accepted(reply, _TAKEN)

    def check(self) -> Check:
        """Reached and signed in."""
        try:
            with self._conversation() as server:
                _accepted(server.noop())
        except (Transient, Permanent, Denied) as problem:
            return Check(what=WHERE, ok=False, detail=str(problem))
        return Check(what=WHERE, ok=True, detail=f"{self._config.host}:{self._config.port} answers")

    @contextmanager
    def _conversation(self) -> Iterator[smtplib.SMTP]:
        where = f"{self._config.host}:{self._config.port}"
        try:
            server = self._connected()
            try:
                yield server
            finally:
                # What was taken stays taken, however the conversation ends.
                with suppress(OSError, smtplib.SMTPException):
                    server.quit()
                server.close()
        except ssl.SSLError as problem:
            raise Permanent(
                f"The mail server {where} does not prove who it is ({problem.reason}); mend mail.tls or mail.ca.",
                where=WHERE,
            ) from problem
        except smtplib.SMTPAuthenticationError as problem:
            raise Denied(
                f"The mail server {where} refuses mail.user and mail.password ({problem.smtp_code}).",
                where=WHERE,
            ) from problem
        except smtplib.SMTPNotSupportedError as problem:
            raise Permanent(
                f"The mail server {where} does not do what mail.tls or mail.user ask for; mend the settings.",
                where=WHERE,
            ) from problem
        except smtplib.SMTPResponseException as problem:
            raise _refused(problem.smtp_code, problem.smtp_error) from problem
        except (OSError, smtplib.SMTPException) as problem:
            raise Transient(
                f"The mail server {where} can't be reached ({type(problem).__name__}); it is tried again.",
                where=WHERE,
            ) from problem

    def _connected(self) -> smtplib.SMTP:
        config = self._config
        # Reading the authorities takes longer than the mail does.
        context = ssl.create_default_context(cafile=config.ca or None) if config.tls != "none" else None
        server: smtplib.SMTP
        if config.tls == "implicit":
            server = smtplib.SMTP_SSL(config.host, config.port, timeout=config.timeout_s, context=context)
        else:
            server = smtplib.SMTP(config.host, config.port, timeout=config.timeout_s)
        try:
            if config.tls == "starttls":
                server.starttls(context=context)
            server.ehlo_or_helo_if_needed()
            if config.user:
                server.login(config.user, config.password)
        except BaseException:
            server.close()
            raise
        return server


def _message(mail: Mail, sender: str) -> EmailMessage:
    """Text first, then the same as HTML with its picture, then the files. Raises Permanent for a broken address."""
    message = EmailMessage()
    try:
        message["From"], message["To"], message["Subject"] = sender, mail.to, mail.subject
        message["Message-ID"] = f"<{mail.id}@countersign>"
    except ValueError as problem:
        raise Permanent(
            f"A mail can't be addressed to {mail.to!r}; mend it in the policy.", where=WHERE
        ) from problem
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    if mail.html:
        message.add_alternative(mail.html, subtype="html")
    if mail.html and mail.picture:
        alternative = message.get_payload()[1]  # type: ignore[index]
        kind, _, subtype = mail.picture.media_type.partition("/")
        alternative.add_related(  # type: ignore[union-attr]
            mail.picture.content,
            kind,
            subtype,
            cid="<picture>",
            filename=mail.picture.name,
            disposition="inline",
        )
    for file in mail.files:
        kind, _, subtype = file.media_type.partition("/")
        message.add_attachment(file.content, kind, subtype, filename=file.name)
    return message


def _accepted(reply: tuple[int, bytes], wanted: int = _TAKEN) -> None:
    code, words = reply
    # 251: taken, and passed on to another server.
    if code != wanted and not (wanted == _TAKEN and code == 251):
        raise _refused(code, words)


def _refused(code: int, words: bytes | str) -> Transient | Permanent:
    said = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    sentence = f"The mail server refused the mail ({code} {said.splitlines()[0][:200] if said else ''})"
    if 400 <= code < 500:
        return Transient(f"{sentence}; it is tried again.", where=WHERE)
    return Permanent(f"{sentence}; mend the address or the settings.", where=WHERE)
