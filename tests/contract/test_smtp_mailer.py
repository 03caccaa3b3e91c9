"""The mailer against a real SMTP server: what is taken, what is refused, and what nobody knows."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiosmtpd.smtp import AuthResult

from connectors.smtp.mailer import SmtpConfig, SmtpMailer
from countersign.errors import Denied, OutsideError, Permanent, Transient, Unsure
from countersign.mails import File, Mail
from tests.mailbox import Mailbox, certificate, mailbox

MAIL = Mail(
    id="abc",
    to="noc@example.com",
    subject="Figures, wöchentlich",
    text="All of it.\n.a line with a dot\n",
    html='<p>All of it.</p><img src="cid:picture" alt="a trend">',
    picture=File(name="trend.png", media_type="image/png", content=b"\x89PNG"),
    files=(
        File(name="report.csv", media_type="text/csv", content=b"a,b\r\n1,2\r\n"),
        File(name="report.json", media_type="application/json", content=b"{}\n"),
    ),
)


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mailbox() as one:
        yield one


def mailer(box: Mailbox, **config: object) -> SmtpMailer:
    settings = {"host": "127.0.0.1", "tls": "none", **config}
    return SmtpMailer(SmtpConfig(port=box.port, sender="countersign@example.com", timeout_s=5, **settings))  # type: ignore[arg-type]


def test_a_mail_arrives_whole(box: Mailbox) -> None:
    """Text first, the same as HTML with one inline picture, and the files with their names and bytes."""
    mailer(box).send(MAIL)
    ((to, mail),) = box.mails
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert (to, mail["Subject"], mail["Message-ID"]) == ("noc@example.com", MAIL.subject, "<abc@countersign>")
    assert text is not None
    assert html is not None
    assert text.get_content().replace("\r\n", "\n") == MAIL.text
    assert "cid:picture" in html.get_content()
    pictures = [part for part in mail.walk() if part.get_content_type() == "image/png"]
    assert [part["Content-ID"] for part in pictures] == ["<picture>"]
    files = {part.get_filename(): part.get_payload(decode=True) for part in mail.iter_attachments()}
    assert files == {file.name: file.content for file in MAIL.files}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [("451 try later", Transient), ("552 too large", Permanent)],
)
def test_what_the_server_says_decides(box: Mailbox, answer: str, kind: type[OutsideError]) -> None:
    """4xx passes, 5xx does not; the next mail is taken."""
    box.answers.append(answer)
    with pytest.raises(kind, match=answer[:3]):
        mailer(box).send(MAIL)
    assert box.mails == []
    mailer(box).send(MAIL)
    assert len(box.mails) == 1


def test_an_unknown_recipient_is_refused_for_good(box: Mailbox) -> None:
    """Nothing was sent, and the sentence says what the server said."""
    box.refused.add(MAIL.to)
    with pytest.raises(Permanent, match="nobody here"):
        mailer(box).send(MAIL)
    assert box.mails == []


def test_a_mail_whose_answer_is_lost_may_have_arrived(box: Mailbox) -> None:
    """The server took it and hung up: that is neither sent nor failed."""
    box.silent = 1
    with pytest.raises(Unsure, match="did not say"):
        mailer(box).send(MAIL)
    assert len(box.mails) == 1


def test_a_server_that_is_away_is_tried_again() -> None:
    """Nobody listens: Transient, within the timeout."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        box = Mailbox()
        box.port = taken.getsockname()[1]
        with pytest.raises(Transient, match="can't be reached"):
            mailer(box).send(MAIL)
        assert mailer(box).check().ok is False


def test_starttls_is_insisted_on(box: Mailbox) -> None:
    """A server without it gets neither password nor mail."""
    with pytest.raises(Permanent, match=r"mail\.tls"):
        mailer(box, tls="starttls", user="bot", password="4711-secret").send(MAIL)
    assert box.mails == []


def test_a_mail_goes_encrypted_to_a_server_that_is_known(tmp_path: Path) -> None:
    """With STARTTLS and a password; an unknown certificate or a wrong password is refused and never printed."""
    ca = certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(ca, tmp_path / "key.pem")

    def right(server: object, session: object, envelope: object, mechanism: str, data: object) -> AuthResult:
        return AuthResult(success=getattr(data, "password", b"") == b"4711-secret", handled=False)

    with mailbox(tls_context=context, require_starttls=True, authenticator=right, auth_required=True) as box:
        known = {"host": "localhost", "tls": "starttls", "ca": str(ca), "user": "bot"}
        mailer(box, **known, password="4711-secret").send(MAIL)
        assert len(box.mails) == 1
        with pytest.raises(Denied, match=r"mail\.password") as refused:
            mailer(box, **known, password="wrong-swordfish").send(MAIL)
        assert "swordfish" not in str(refused.value)
        with pytest.raises(Permanent, match=r"mail\.ca"):
            mailer(box, **{**known, "ca": ""}, password="4711-secret").send(MAIL)
        assert mailer(box, **known, password="4711-secret").check().ok
        assert len(box.mails) == 1


def test_an_address_cannot_add_headers(box: Mailbox) -> None:
    """A line break in the policy's address is refused before anything is said."""
    bad = Mail(
        id="x", to="a@example.com\nBcc: b@example.com", subject="s", text="t", html="h", picture=MAIL.picture
    )
    with pytest.raises(Permanent, match="addressed"):
        mailer(box).send(bad)
    assert box.mails == []
