"""Transport: the one way in which every vendor's SDK reaches its server, and how a failure becomes ours."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import requests
import structlog
from requests.adapters import HTTPAdapter
from urllib3.exceptions import (
    ConnectTimeoutError,
    DecodeError,
    HTTPError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
)

from connectors.faults import VENDORS, fault, is_nobody, said
from connectors.manifest import Manifest, path_below, read_manifest
from countersign.errors import ConfigError, Denied, OutsideError, Permanent, Transient, Unsure
from countersign.permits import ask_permit

CONNECT_S = 5.0
READ_S = 20.0
IDENTITY = f"countersign/{version('countersign')}"
_WHOLE_CALL_S = 60.0
_LARGEST_BODY = 32 * 1024 * 1024
_BLOCK = 64 * 1024
_CONNECTIONS = 16

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Wire:
    """Where a vendor is and how long we wait for it.

    `url` is the base URL: no other scheme, host or port is ever called. `connect_s` and `read_s` are seconds.
    `ca` is the path of a certificate authority's PEM file, for a server that the public ones don't know.
    `manifest` lists the calls that may be made; the vendor's own, unless another is given.
    """

    vendor: str
    url: str
    connect_s: float = CONNECT_S
    read_s: float = READ_S
    ca: str = ""
    manifest: Manifest | None = None


class Loss(Enum):
    """How a call ends without an answer: the error after a read, the error after a write, the sentence."""

    UNREACHED = (
        Transient,
        Transient,
        "{title} can't be reached at {host}; check its address and the network. The work is kept.",
    )
    UNTRUSTED = (
        Denied,
        Denied,
        "{title}'s certificate at {host} is not trusted; renew it, or name its authority's PEM file as ca.",
    )
    SILENT = (
        Transient,
        Unsure,
        "{title} did not answer in time; the work is kept, and what was written is looked for first.",
    )
    BROKEN = (
        Transient,
        Unsure,
        "{title} broke the connection off; the work is kept, and what was written is looked for first.",
    )
    # A hibernating instance or a proxy's page, which both pass: hence not Permanent after a read.
    NONSENSE = (
        Transient,
        Unsure,
        "{title} answered with something else than its API's JSON; look whether {host} is its API and awake.",
    )
    PARTIAL = (
        Transient,
        Unsure,
        "{title} gave up before its answer was whole; the work is kept, and what was written is looked for first.",
    )


class Refused(Exception):
    """The vendor answered with a status of 300 or more. Raised below the SDK, so that none hides it."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str]) -> None:
        super().__init__(f"{status} {message}")
        self.status = status
        self.message = message
        self.headers = headers


class Lost(Exception):
    """There was no whole answer. Raised below the SDK, so that no SDK sends the call again."""

    def __init__(self, loss: Loss, host: str) -> None:
        super().__init__(f"{loss.name.lower()} {host}")
        self.loss = loss
        self.host = host


@contextmanager
def calling(
    vendor: str, *, wrote: bool, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Iterator[None]:
    """Turn whatever a call in this block raises into an OutsideError. `wrote`: it asked for an effect.

    Keep the block to one call, or to calls of one kind: `wrote` holds for all of them. Reading what came back
    (mapping) stands outside of it.
    """
    try:
        yield
    except Refused as no:
        raise fault(vendor, no.status, no.message, no.headers, wrote, clock()) from no
    except Lost as lost:
        raise _lost(vendor, lost.loss, lost.host, wrote) from lost
    except json.JSONDecodeError as error:
        raise _lost(vendor, Loss.NONSENSE, "the configured address", wrote) from error
    except requests.RequestException as error:
        raise Permanent(
            f"{VENDORS[vendor].title} can't be called like this ({type(error).__name__}); check its address.",
            where=vendor,
        ) from error


def _lost(vendor: str, loss: Loss, host: str, wrote: bool) -> OutsideError:
    after_read, after_write, sentence = loss.value
    kind: type[OutsideError] = after_write if wrote else after_read
    return kind(sentence.format(title=VENDORS[vendor].title, host=host), where=vendor)


def sendable(vendor: str, secret: str) -> str:
    """A key or token as it can stand in a header, without the spaces and line ends that come along when it is copied.

    Raises ConfigError where there is none, and for one with signs that no header holds; the sentence does not
    repeat it.
    """
    bare, known = secret.strip(), VENDORS[vendor]
    if not bare:
        raise ConfigError(f"The {known.secret} of {known.title} is missing; put it into {known.setting}.")
    if not all("!" <= sign <= "~" for sign in bare):
        raise ConfigError(
            f"The {known.secret} of {known.title} holds a space, a line end or a sign that no key has; copy it anew "
            f"into {known.setting}."
        )
    return bare


def new_session(wire: Wire) -> requests.Session:
    """A requests.Session that obeys the transport policy; one may be shared by threads. Raises ConfigError."""
    session = requests.Session()
    fit(session, wire)
    return session


def fit(session: requests.Session, wire: Wire) -> None:
    """Put the policy under a session that an SDK made: its own timeouts and `verify` lose their say.

    Raises ConfigError for an address or an authority with which no call could be made.
    """
    _check(wire)
    session.adapters.clear()
    adapter = _Adapter(wire)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    # A .netrc would replace the SDK's Authorization header, so of the environment only the proxies are taken.
    session.trust_env = False
    session.proxies = dict(requests.utils.get_environ_proxies(wire.url, None))


def _check(wire: Wire) -> None:
    title = VENDORS[wire.vendor].title
    try:
        address = requests.Request("GET", wire.url).prepare().url or ""
    except (requests.RequestException, ValueError):
        address = ""
    if not address.startswith(("https://", "http://")):
        # Without the address: somebody may have put a password into it.
        raise ConfigError(f"{title}'s url is no address; write it as https://host:port.")
    if "@" in urlsplit(wire.url).netloc:
        raise ConfigError(
            f"{title}'s url holds a user or a password, which would stand in logs and in links; write it as "
            "https://host:port, and the secret into its own setting."
        )
    try:
        if wire.ca:
            ssl.create_default_context(cafile=wire.ca)
    except OSError as error:
        raise ConfigError(
            f"{wire.ca}, the ca of {title}, is no PEM file that can be read; name that of the authority."
        ) from error


class _Adapter(HTTPAdapter):
    """Sends a request once: pinned host, our timeouts, TLS verified, whole body, one log line."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.manifest = wire.manifest or read_manifest(wire.vendor)
        super().__init__(pool_connections=1, pool_maxsize=_CONNECTIONS, max_retries=0, pool_block=True)

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: ARG002 - bodies are always read whole
        timeout: object = None,  # noqa: ARG002 - ours are used
        verify: bool | str = True,  # noqa: ARG002 - always
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        self._stay_at_home(request)
        self._stay_in_manifest(request)
        if request.method != "GET":
            ask_permit(self.wire.vendor)
        request.headers["User-Agent"] = IDENTITY
        started = time.monotonic()
        status, lost = 0, ""
        try:
            response = super().send(
                request,
                stream=True,
                timeout=(self.wire.connect_s, self.wire.read_s),
                verify=self.wire.ca or True,
                cert=cert,
                proxies=proxies,
            )
            status = response.status_code
            _read_whole(response, started + max(_WHOLE_CALL_S, self.wire.read_s))
        except (requests.RequestException, HTTPError) as error:
            loss = _loss(error)
            lost = loss.name.lower()
            raise Lost(loss, urlsplit(self.wire.url).netloc) from error
        finally:
            self._tell(request, status, lost, started)
        if is_nobody(self.wire.vendor, response.headers):
            raise Refused(401, said(response.content), response.headers)
        if status >= 300:
            raise Refused(status, said(response.content), response.headers)
        return response

    def _stay_at_home(self, request: requests.PreparedRequest) -> None:
        if _origin(request.url or "") != _origin(self.wire.url):
            raise Permanent(
                f"A call meant for {self.wire.vendor} was aimed at {urlsplit(request.url or '').hostname}, "
                f"and was not sent; put the right address in its url.",
                where=self.wire.vendor,
            )

    def _stay_in_manifest(self, request: requests.PreparedRequest) -> None:
        """In production too: nobody has granted such a call, and refusing it before it is sent loses nothing."""
        path = path_below(self.wire.url, request.url or "")
        if self.manifest.lists(request.method or "", path) is None:
            raise Permanent(
                f"The call {request.method} {path[:200]} is not in the manifest of {self.wire.vendor}, "
                f"and was not sent; list it there with its reason, or don't make it.",
                where=self.wire.vendor,
            )

    def _tell(self, request: requests.PreparedRequest, status: int, lost: str, started: float) -> None:
        _log.info(
            "vendor.called",
            vendor=self.wire.vendor,
            method=request.method,
            path=urlsplit(request.url or "").path,
            status=status,
            ms=round((time.monotonic() - started) * 1000),
            **({"lost": lost} if lost else {}),
        )


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _read_whole(response: requests.Response, until: float) -> None:
    """Read the body here, where a body that never ends or drips is cut off, and not in the SDK."""
    parts: list[bytes] = []
    size = 0
    # read1 gives what is there. read, and so requests' own iter_content, waits for a full block, byte by byte.
    while part := response.raw.read1(_BLOCK, decode_content=True):
        parts.append(part)
        size += len(part)
        if size > _LARGEST_BODY:
            response.close()
            raise requests.exceptions.ContentDecodingError("the body is too large")
        if time.monotonic() > until:
            response.close()
            raise requests.exceptions.ReadTimeout("the body came too slowly")
    response._content = b"".join(parts)


def _loss(error: BaseException) -> Loss:
    """Which loss an exception of requests is, decided by the innermost cause that says so."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    for kinds, loss in _LOSSES:
        if any(isinstance(link, kinds) for link in chain):
            return loss
    return Loss.BROKEN


_LOSSES: tuple[tuple[tuple[type[BaseException], ...], Loss], ...] = (
    ((ssl.SSLCertVerificationError,), Loss.UNTRUSTED),
    ((NewConnectionError, ConnectTimeoutError, ProxyError), Loss.UNREACHED),
    ((requests.exceptions.Timeout, ReadTimeoutError), Loss.SILENT),
    ((requests.exceptions.ContentDecodingError, DecodeError), Loss.NONSENSE),
)
