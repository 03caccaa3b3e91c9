"""Redaction hides what must not leave, the same way each time, and gives it back only where it may."""

from __future__ import annotations

import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.redaction import KINDS, Redactor, redact, restore

DICE = random.Random(7)


def _drawn(size: int) -> str:
    return "".join(DICE.choices(string.ascii_letters + string.digits, k=size - 3)) + "aB7"


# Put together here, so that no scanner takes this file for a leak.
GITHUB = "ghp_" + _drawn(36)
AWS = "AKIA" + "Q7ZL2M9XW4T6B3PD"
DRAWN = f"{'k3' * 3}{_drawn(20)}"
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{_drawn(60)}\n{_drawn(60)}\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "value", "kind"),
    [
        (f"push failed with {GITHUB} in the log", GITHUB, "secret"),
        (f"key={AWS}", AWS, "secret"),
        (f"found\n{PEM}\nin the repository", PEM, "secret"),
        ("login with password: Xy7!kk2p please", "Xy7!kk2p", "secret"),
        ('{"client_secret": "9fk2-wwq0-zz81"}', "9fk2-wwq0-zz81", "secret"),
        ("the password is tulip77x", "tulip77x", "secret"),
        ("postgres://app:hunter2x@db-3/orders", "hunter2x", "secret"),
        ("Authorization: Bearer abc123.def456", "abc123.def456", "secret"),
        (f"okta session {'token'} > {DRAWN}", DRAWN, "secret"),
        ("mail from j.doe+ops@mail.example.co.uk today", "j.doe+ops@mail.example.co.uk", "email"),
        ("müller@beispiel.de schreibt", "müller@beispiel.de", "email"),
        ("peer 10.20.30.40:5432 gone", "10.20.30.40", "ip"),
        ("peer 2001:db8:85a3::8a2e:370:7334 gone", "2001:db8:85a3::8a2e:370:7334", "ip"),
        ("call +49 30 901820 now", "+49 30 901820", "phone"),
        ("call (555) 010-4477 x12 now", "(555) 010-4477 x12", "phone"),
        ("pay to DE89 3704 0044 0532 0130 00 today", "DE89 3704 0044 0532 0130 00", "iban"),
        ("pay to gb82west12345698765432 today", "gb82west12345698765432", "iban"),
        ("card 4111 1111 1111 1111 refused", "4111 1111 1111 1111", "card"),
        ("card 378282246310005 refused", "378282246310005", "card"),
    ],
)
def test_hides_each_kind(text: str, value: str, kind: str) -> None:
    """A value of each kind leaves a placeholder of its kind, and its surroundings stay."""
    assert redact(text).text == text.replace(value, f"<{kind}:1>")


CHOSEN = "Hunter2!xy"
KEYED = "aB3dE5fG7hJ9kL1m"
LONG = _drawn(400)
WIDE = str.maketrans("0123456789.@", "０１２３４５６７８９．＠")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (rf"{{\"password\": \"{CHOSEN}\"}}", CHOSEN),
        (rf"{{\\\"password\\\":\\\"{CHOSEN}\\\"}}", CHOSEN),
        ('{"password": "Tgh1;23,4<z"}', ";23,4<z"),
        (f"password:\n  {CHOSEN}", CHOSEN),
        (f"password: |\n  {CHOSEN}", CHOSEN),
        (f"- name: DB_PASSWORD\n  value: {CHOSEN}", CHOSEN),
        (f'{{"name":"DB_PASSWORD","value":"{CHOSEN}"}}', CHOSEN),
        (f'<add key="Password" value="{CHOSEN}"/>', CHOSEN),
        (f"<db:password>{CHOSEN}</db:password>", CHOSEN),
        (f"password=&quot;{CHOSEN}&quot;", CHOSEN),
        ("https://h/x?next=a%26password%3DHunter2xy", "Hunter2xy"),
        (f"https://h/x?sv=2020&sig={KEYED}%2Fxyz%3D", KEYED),
        ("postgres://app:s3c@ret:PW@db:5432/x", "s3c@ret:PW"),
        ("postgres://app:hunter@db:5432/x", "hunter"),
        (f"tool --password {CHOSEN} run", CHOSEN),
        (f"curl -u admin:{CHOSEN} https://h", CHOSEN),
        (f'-H "Bearer {KEYED}"', KEYED),
        (f"psk={CHOSEN} and PW: {CHOSEN}", CHOSEN),
        ("password=$ecret123!", "$ecret123!"),
        ("password=Test1234!, changed to password=Changeme2024", "2024"),
        (f"bob:$apr1$abcd1234${KEYED}aB7dE", KEYED),
        (f"token={LONG}", LONG[-20:]),
        (f"found {LONG} there", LONG[-20:]),
        (f"password：{CHOSEN}", CHOSEN),
        ("4111 1111 1111 1111 123", "4111 1111 1111 1111"),
        ("4111 1111 1111 1111 12/27", "4111 1111 1111 1111"),
        ("order 1234 4111 1111 1111 1111", "4111 1111 1111 1111"),
        ("4111.1111.1111.1111", "4111.1111"),
        ("card_4111111111111111", "4111111111111111"),
        ("4111\u00a01111\u00a01111\u00a01111", "1111\u00a01111"),
        ("DE89\u202f3704\u202f0044\u202f0532\u202f0130\u202f00", "0532"),
        ("iban_DE89370400440532013000", "DE89370400440532013000"),
        ("+49\u00a0170\u20111234567", "1234567"),
        ("peer 10.1.2.3 gone".translate(WIDE), "10.1.2.3".translate(WIDE)),
        ("mail ann@example.com".translate(WIDE), "ann"),
        ("ids=ann%40example.com&x=1", "ann%40example.com"),
        ("host_10.1.2.3_eth0", "10.1.2.3"),
        ("client:2001:db8::5", "2001:db8::5"),
    ],
)
def test_hides_a_value_however_it_is_written(text: str, value: str) -> None:
    """In JSON within JSON, YAML, XML, HTML, addresses, commands and other alphabets' signs; and the text comes back."""
    redacted = redact(f"Überlauf {text} größer")
    assert value not in redacted.text
    assert redacted.text.startswith("Überlauf ")
    assert redacted.text.endswith(" größer")
    whole = redacted.text
    for name, hidden in redacted.hidden.items():
        whole = whole.replace(name, hidden)
    assert whole == f"Überlauf {text} größer"


@pytest.mark.parametrize(
    "text",
    [
        "order 4111 1111 1111 1112 has a wrong check digit",
        "at 1795219259922 ms since the epoch",
        "DE88370400440532013000 is no account",
        "version v1.22.333.4 and 999.1.2.3 and 10.2.3",
        "from 12:30:45 to 12:31:00, std::string a::b",
        "token_count=4821 max_tokens=100000 prompt tokens: 1532, sessions: 4821/5000",
        "bypass: 1203ms, pass=1203 fail=4, Test pass: 99.2%, compass: ver2.1",
        "i-0abcd1234ef567890 arn:aws:iam::123456789012:role/Admin",
        "AWS RDS: db-orders.cluster-c9akciq32abc.eu-west-1.rds.amazonaws.com",
        "Fax: 2024-01-15, call at 2026-11-21 03:00",
        "interface 00:1b:44:11:3a:b7 is down",
        "listening on 127.0.0.1 and 0.0.0.0",
        "user wants a password reset, password: expired",
        "token: $TOKEN password=${PASSWORD} secret=<your-secret>",
        "pod payments-7d9f8b6c5-x2x4z on ip-less node",
        "image sha256:9c56cc51b374c3ba189210d5b6d4bf57790d351c96c47c02190ecf1e430635ab",
        "2026-11-20 03:00:00 db-3 /var 91 % of 100 GB, inc0010023, chg0030001",
    ],
)
def test_leaves_what_an_engineer_needs(text: str) -> None:
    """Numbers, hosts, versions, digests and prose that only look like a value stay."""
    assert redact(text).text == text


def test_same_value_same_placeholder() -> None:
    """In all texts of a case a value has one placeholder, and another value another one."""
    redactor = Redactor({"email"})
    first = redactor.redact("ann@example.com wrote to bob@example.com")
    second = redactor.redact("bob@example.com answered ann@example.com and eve@example.com")
    assert first.text == "<email:1> wrote to <email:2>"
    assert second.text == "<email:2> answered <email:1> and <email:3>"
    assert second.hidden["<email:3>"] == "eve@example.com"


def test_numbers_go_on_after_known() -> None:
    """A text that comes later goes on with the numbers of its case."""
    before = redact("ann@example.com", frozenset({"email"}))
    after = redact("bob@example.com, ann@example.com", frozenset({"email"}), known=before.hidden)
    assert after.text == "<email:2>, <email:1>"


def test_restores_all_but_secrets() -> None:
    """In its ticket a value comes back, a secret never does."""
    redacted = redact("ann@example.com from 10.1.2.3 has password=Xy7!kk2p")
    assert restore(redacted.text, redacted.hidden) == "ann@example.com from 10.1.2.3 has password=<secret:1>"


def test_a_written_placeholder_restores_nothing() -> None:
    """Who writes a placeholder into an alert does not get somebody's value for it."""
    redacted = redact("ann@example.com; tell me <email:1> and <secret:1>")
    restored = restore(redacted.text, redacted.hidden)
    assert restored == "ann@example.com; tell me (email:1) and (secret:1)"


def test_only_the_kinds_asked_for() -> None:
    """A policy that hides e-mail alone shows the rest."""
    assert redact("ann@example.com 10.1.2.3", frozenset({"email"})).text == "<email:1> 10.1.2.3"


def test_unknown_kind_is_refused() -> None:
    """A kind that nobody can hide is a mistake, said at once."""
    with pytest.raises(ValueError, match="names is not a kind to redact; write one of card, email"):
        Redactor({"names"})


def test_hidden_values_are_not_in_the_repr() -> None:
    """A redacted text that is logged by its repr keeps what it hides."""
    assert "ann@example.com" not in repr(redact("ann@example.com"))


@given(
    st.text(max_size=200),
    st.sampled_from(["ann@example.com", "10.1.2.3", "4111111111111111"]),
    st.text(max_size=200),
)
def test_restoring_gives_the_text_back(before: str, value: str, after: str) -> None:
    """Whatever stands around a value: hidden and restored, the text is what it was."""
    text = f"{before} {value} {after}"
    kinds = KINDS - {"secrets"}
    redacted = redact(text, kinds)
    assert value not in redacted.text
    assert restore(redacted.text, redacted.hidden) == text
