"""The transport under every SDK: what it never does, and what each way of failing becomes."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from structlog.testing import capture_logs

from connectors import transport
from connectors.faults import LONGEST_WAIT, fault, retry_after, said
from connectors.manifest import Call, Manifest
from connectors.transport import IDENTITY, Wire, calling, fit, new_session, sendable
from countersign.errors import ConfigError, Denied, OutsideError, Permanent, Transient, Unsure
from tests.unkind import Unkind, answer, endless, half_zipped, hang, huge, reset, truncated, zipped

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ONE_MINUTE = timedelta(minutes=1)
# The calls of these tests, in place of a vendor's own.
ANY = Manifest(
    vendor="none",
    owner="tests",
    scopes=(),
    calls=tuple(
        Call(method=method, path=path, why="tests", autonomy="act")
        for method in ("GET", "POST", "PUT")
        for path in ("", "/", "/notes")
    ),
    rules=(),
)
_SELF_SIGNED = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1 "
    "-addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem"
)


def _call(url: str, method: str, *, wrote: bool, read_s: float = 5, ca: str = "") -> requests.Response:
    session = new_session(Wire(vendor="datadog", url=url, connect_s=2, read_s=read_s, ca=ca, manifest=ANY))
    with session, calling("datadog", wrote=wrote):
        response = session.request(method, f"{url}/notes?secret=1", json={"text": "hello"})
        response.json()
        return response


@pytest.mark.parametrize(
    ("vendor", "headers", "wait"),
    [
        ("datadog", {"X-RateLimit-Reset": "60"}, ONE_MINUTE),
        ("pagerduty", {"ratelimit-reset": "60"}, ONE_MINUTE),
        ("jira", {"X-RateLimit-Reset": "2026-11-20T12:01Z"}, ONE_MINUTE),
        ("jira", {"X-RateLimit-Reset": "2026-11-20T13:01:00+01:00"}, ONE_MINUTE),
        ("jira", {"Retry-After": "60"}, ONE_MINUTE),
        ("jira", {"Retry-After": "Fri, 20 Nov 2026 12:01:00 GMT"}, ONE_MINUTE),
        ("jira", {"Retry-After": "60", "X-RateLimit-Reset": "2026-11-20T18:00Z"}, ONE_MINUTE),
        ("servicenow", {"X-RateLimit-Reset": "1795176060"}, ONE_MINUTE),
        ("servicenow", {"Retry-After": "soon", "X-RateLimit-Reset": "1795176060"}, ONE_MINUTE),
        ("splunk", {"Retry-After": "60"}, ONE_MINUTE),
        ("servicenow", {"X-RateLimit-Reset": "1795176000"}, timedelta(0)),
        ("servicenow", {"X-RateLimit-Reset": "1"}, timedelta(0)),
        ("datadog", {"X-RateLimit-Reset": "99999999"}, LONGEST_WAIT),
        ("datadog", {"X-RateLimit-Reset": "1e999"}, None),
        ("datadog", {"X-RateLimit-Reset": "nan"}, None),
        ("jira", {"X-RateLimit-Reset": "tomorrow"}, None),
        ("splunk", {}, None),
    ],
)
def test_each_vendor_means_something_else_by_reset(
    vendor: str, headers: dict[str, str], wait: timedelta | None
) -> None:
    """Seconds, an ISO time, an HTTP date and a UNIX time come out as the same wait, between zero and an hour."""
    assert retry_after(vendor, headers, NOW) == wait


@pytest.mark.parametrize("vendor", ["datadog", "splunk", "pagerduty", "servicenow", "jira"])
@pytest.mark.parametrize(
    ("status", "after_read", "after_write"),
    [
        (302, Denied, Denied),
        (400, Permanent, Permanent),
        (401, Denied, Denied),
        (403, Denied, Denied),
        (404, Permanent, Permanent),
        (408, Transient, Transient),
        (409, Permanent, Permanent),
        (410, Permanent, Permanent),
        (422, Permanent, Permanent),
        (425, Transient, Transient),
        (429, Transient, Transient),
        (500, Transient, Unsure),
        (502, Transient, Unsure),
        (503, Transient, Unsure),
        (504, Transient, Unsure),
    ],
)
def test_every_status_is_one_of_four_errors(
    vendor: str, status: int, after_read: type[OutsideError], after_write: type[OutsideError]
) -> None:
    """A status means the same for every vendor; only a failed write may have happened."""
    for wrote, kind in ((False, after_read), (True, after_write)):
        error = fault(vendor, status, "why", {}, wrote, NOW)
        assert type(error) is kind
        assert (error.where, error.status) == (vendor, status)


def test_who_names_a_time_to_come_back_has_not_begun() -> None:
    """A vendor that is too busy says when to write again; a proxy that lost it over a write can't."""
    error = fault("jira", 503, "", {"Retry-After": "60"}, True, NOW)
    assert isinstance(error, Transient)
    assert error.retry_after == ONE_MINUTE


def test_a_refused_key_says_where_to_put_a_valid_one() -> None:
    """Whoever reads the error knows the setting and the command, and the sentence has no placeholder left."""
    text = str(fault("datadog", 401, "", {}, False, NOW))
    assert "COUNTERSIGN_DATADOG__API_KEY" in text
    assert "countersign doctor" in text
    assert "{" not in text


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"errors": ["Forbidden"]}', "Forbidden"),
        (
            b'{"error": {"code": 2100, "message": "Not Found", "errors": ["No\\nsuch note"]}}',
            "Not Found No such note",
        ),
        (
            b'{"messages": [{"type": "WARN", "text": "call not authenticated"}]}',
            "WARN call not authenticated",
        ),
        (b"<html>hibernating</html>", ""),
        (b"", ""),
        (b"[" * 100_000, ""),
        (b"\xff\xfe", ""),
        (json.dumps({"error": "x" * 500}).encode(), "x" * 199 + "…"),
    ],
)
def test_a_vendors_reason_is_one_short_line(body: bytes, words: str) -> None:
    """Each vendor's error body gives its texts in one line of at most 200 characters, and nonsense gives none."""
    assert said(body) == words


@pytest.mark.parametrize(
    ("behave", "after_read", "after_write"),
    [
        (hang, Transient, Unsure),
        (reset, Transient, Unsure),
        (truncated, Transient, Unsure),
        (half_zipped, Transient, Unsure),
        (answer(200, b"<html>Your instance is hibernating</html>"), Transient, Unsure),
        (answer(200, b""), Transient, Unsure),
        (answer(429, Retry_After="7"), Transient, Transient),
        (answer(500), Transient, Unsure),
        (answer(302), Denied, Denied),
        (answer(503), Transient, Unsure),
        (answer(401), Denied, Denied),
        (answer(404), Permanent, Permanent),
    ],
)
@pytest.mark.parametrize(
    ("method", "wrote"), [("GET", False), ("POST", False), ("POST", True), ("PUT", True)]
)
def test_what_goes_wrong_is_sent_once_and_told_apart(
    behave: Callable[..., None],
    after_read: type[OutsideError],
    after_write: type[OutsideError],
    method: str,
    wrote: bool,
) -> None:
    """However a call fails, the server saw it exactly once, and a write that may have happened is Unsure."""
    with Unkind(behave) as server:
        with pytest.raises(OutsideError) as raised:
            _call(server.url, method, wrote=wrote, read_s=0.3)
        assert len(server.asked) == 1
    assert type(raised.value) is (after_write if wrote else after_read)


def test_the_vendors_own_time_comes_with_the_error() -> None:
    """After a 429 the work waits for as long as the vendor says."""
    with Unkind(answer(429, Retry_After="7")) as server, pytest.raises(Transient) as raised:
        _call(server.url, "POST", wrote=True)
    assert raised.value.retry_after == timedelta(seconds=7)


def test_nothing_was_written_where_nobody_listens() -> None:
    """A refused connection is Transient after a write too: there is no marker to look for."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(Transient):
            _call(f"http://127.0.0.1:{unused.getsockname()[1]}", "POST", wrote=True)


def test_a_body_is_read_whole_in_whatever_encoding_it_comes() -> None:
    """Chunks and gzip are undone before an SDK sees the body."""
    with Unkind(zipped) as server:
        assert _call(server.url, "GET", wrote=False).json() == {"whole": True}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    """The place that a redirect names is never asked, or it would get our key."""
    with Unkind(answer(200)) as elsewhere, Unkind(answer(status, Location=elsewhere.url)) as server:
        with pytest.raises(Denied):
            _call(server.url, "GET", wrote=False)
        assert (len(server.asked), len(elsewhere.asked)) == (1, 0)


def test_a_redirect_is_not_followed_on_the_same_host_either() -> None:
    """A redirected POST would be repeated, or turned into a GET."""
    with Unkind(answer(307, Location="/elsewhere")) as server:
        with pytest.raises(Denied, match="redirects"):
            _call(server.url, "POST", wrote=True)
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    "written", ["http://127.0.0.2:{port}", "https://127.0.0.1:{port}", "http://127.0.0.1:1"]
)
def test_another_host_is_never_called(written: str) -> None:
    """A link that a vendor's answer holds can't lead a call to another scheme, host or port."""
    with Unkind(answer(200)) as server:
        session = new_session(Wire(vendor="pagerduty", url=server.url, manifest=ANY))
        target = written.format(port=server.url.rpartition(":")[2])
        with pytest.raises(Permanent, match="not sent"), calling("pagerduty", wrote=True):
            session.get(target)
        assert server.asked == []


def test_a_body_that_drips_for_ever_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read timeout sees each byte in time, so the whole call has an end too."""
    monkeypatch.setattr(transport, "_WHOLE_CALL_S", 0.2)
    with Unkind(endless) as server, pytest.raises(Transient, match="in time"):
        _call(server.url, "GET", wrote=False, read_s=0.2)


def test_a_body_without_end_does_not_fill_the_memory() -> None:
    """More than 32 MB is nobody's answer."""
    with Unkind(huge) as server, pytest.raises(Transient, match="something else"):
        _call(server.url, "GET", wrote=False)


def test_we_say_who_we_are_and_a_netrc_has_no_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The User-Agent is ours, whatever an SDK sets, and a .netrc can't replace the credentials."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login stranger password strange\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with Unkind(answer(200)) as server:
        session = requests.Session()
        fit(session, Wire(vendor="jira", url=server.url, manifest=ANY))
        session.get(server.url, headers={"User-Agent": "sdk/1", "Authorization": "Bearer ours"})
        assert server.asked[0].headers["User-Agent"] == IDENTITY
        assert server.asked[0].headers["Authorization"] == "Bearer ours"


def test_a_call_is_one_log_line_without_secrets() -> None:
    """The line holds vendor, method, path, status and duration; no query, header or body."""
    with Unkind(answer(200)) as server, capture_logs() as lines:
        _call(server.url, "POST", wrote=True)
    (line,) = lines
    assert line.pop("ms") >= 0
    assert line == {
        "event": "vendor.called",
        "log_level": "info",
        "vendor": "datadog",
        "method": "POST",
        "path": "/notes",
        "status": 200,
    }


def test_a_lost_call_is_logged_with_how_it_was_lost() -> None:
    """A call without an answer has the status 0 and the way it ended."""
    with Unkind(reset) as server, capture_logs() as lines, pytest.raises(Unsure):
        _call(server.url, "POST", wrote=True)
    assert [(line["status"], line["lost"]) for line in lines] == [(0, "broken")]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key beside it."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with: install it")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        _SELF_SIGNED.split(),
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=30,
    )
    return folder / "cert.pem"


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    return context


def test_a_certificate_that_nobody_vouches_for_gets_no_key(tls: ssl.SSLContext) -> None:
    """TLS is verified even where the SDK says otherwise; the connector stops, and nothing is sent."""
    with Unkind(answer(200), tls=tls) as server:
        session = new_session(Wire(vendor="splunk", url=server.url, manifest=ANY))
        session.verify = False
        with pytest.raises(Denied, match="not trusted"), calling("splunk", wrote=True):
            session.get(server.url, verify=False)
        assert server.asked == []


def test_a_company_can_name_its_own_authority(tls: ssl.SSLContext, certificate: Path) -> None:
    """With `ca` a server is trusted that the public authorities don't know."""
    with Unkind(answer(200), tls=tls) as server:
        assert _call(server.url, "GET", wrote=False, ca=str(certificate)).status_code == 200


@pytest.mark.parametrize("secret", ["“abc”", "a b", "a\u200bb", "a\nb"])
def test_a_key_that_no_header_can_hold_is_refused_at_the_start(secret: str) -> None:
    """Else every call would end in an error of the HTTP library, which repeats the key."""
    with pytest.raises(ConfigError, match="COUNTERSIGN_PAGERDUTY__TOKEN") as refused:
        sendable("pagerduty", secret)
    assert secret not in str(refused.value)


def test_the_line_end_of_a_secret_is_not_part_of_it() -> None:
    """Files and variables of secrets often end with one."""
    assert sendable("pagerduty", " abc\n") == "abc"


@pytest.mark.parametrize(
    "url",
    ["https://acme.example.com:80a", "acme.example.com", "ftp://acme.example.com", "https://u:pw@:8089"],
)
def test_an_address_that_is_none_is_refused_at_the_start(url: str) -> None:
    """In one sentence, that does not repeat it: somebody may have put a password into it."""
    with pytest.raises(ConfigError, match="Splunk's url is no address") as refused:
        new_session(Wire(vendor="splunk", url=url, manifest=ANY))
    assert url not in str(refused.value)


def test_an_authority_that_can_not_be_read_is_refused_at_the_start(tmp_path: Path) -> None:
    """Whether its file is missing or is no PEM file; nothing is called with it."""
    (tmp_path / "odd.pem").write_text("not a certificate")
    for name in ("missing.pem", "odd.pem"):
        with pytest.raises(ConfigError, match=f"{name}, the ca of Splunk, is no PEM file"):
            new_session(
                Wire(vendor="splunk", url="https://a.example.com", ca=str(tmp_path / name), manifest=ANY)
            )


@pytest.mark.parametrize("status", [200, 404])
def test_an_answer_for_anybody_is_a_refusal(status: int) -> None:
    """Jira tells an expired token by a header alone: as 200 with nothing in it, or as 404."""
    told = {"X-Seraph-LoginReason": "AUTHENTICATED_FAILED"}
    with Unkind(answer(status, b'{"issues": []}', **told)) as server:
        session = new_session(Wire(vendor="jira", url=server.url, manifest=ANY))
        with session, pytest.raises(Denied, match="COUNTERSIGN_JIRA__TOKEN"), calling("jira", wrote=False):
            session.get(server.url)


def test_who_is_known_after_all_is_not_nobody() -> None:
    """An old cookie was refused and the token was not."""
    with Unkind(answer(200, X_Seraph_LoginReason="AUTHENTICATED_FAILED, OK")) as server:
        assert new_session(Wire(vendor="jira", url=server.url, manifest=ANY)).get(server.url).ok


def test_an_address_with_a_password_is_refused_at_the_start() -> None:
    """It would stand in what doctor says and in the links of every ticket."""
    with pytest.raises(ConfigError, match="a user or a password") as refused:
        new_session(Wire(vendor="servicenow", url="https://worker:hush@acme.example.com", manifest=ANY))
    assert "hush" not in str(refused.value)
