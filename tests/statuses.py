"""Statuses: what an HTTP status means to us, the same for every vendor; each connector's tests hold it to this."""

from __future__ import annotations

import pytest

from countersign.errors import Denied, OutsideError, Permanent, Transient, Unsure

Meaning = dict[int, type[OutsideError]]
OF_A_READ: Meaning = {
    400: Permanent,
    401: Denied,
    402: Permanent,
    403: Denied,
    404: Permanent,
    409: Permanent,
    413: Permanent,
    429: Transient,
    500: Transient,
    502: Transient,
    503: Transient,
    504: Transient,
}
# After a write these do not say whether it happened: a proxy's 503 neither, unless it names a time to come back.
OF_A_WRITE: Meaning = {**OF_A_READ, 500: Unsure, 502: Unsure, 503: Unsure, 504: Unsure}

each_status_of_a_read = pytest.mark.parametrize(("status", "kind"), OF_A_READ.items())
each_status_of_a_write = pytest.mark.parametrize(("status", "kind"), OF_A_WRITE.items())
