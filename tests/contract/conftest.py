"""For all tests of this folder: every exchange with the sandbox is held against the distilled contracts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.witness import Exchange, watching
from tests.judge import complaints


@pytest.fixture(autouse=True)
def true_to_the_contracts(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test in which a connector asked for, or the sandbox answered, what no contract holds.

    A test marked `odd` has the sandbox answer what no vendor promises, to see what becomes of it.
    """
    seen: list[Exchange] = []
    with watching(seen.append):
        yield
    distinct = {(one.vendor, one.method, one.path, one.query, one.body, one.answer): one for one in seen}
    found = {complaint for one in distinct.values() for complaint in complaints(one)}
    if request.node.get_closest_marker("odd"):
        assert found, "nothing odd was answered; remove the mark"
    else:
        assert not found, "\n".join(sorted(found))
