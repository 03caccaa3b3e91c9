"""The manifests: whole, without approvals, and nothing that they don't list is ever sent."""

from __future__ import annotations

import pytest
import yaml

from connectors import manifest
from connectors.manifest import Manifest, read_manifest
from connectors.transport import Wire, calling, new_session
from countersign.errors import ConfigError, Permanent
from tests.judge import VENDORS
from tests.unkind import Unkind, answer

pytestmark = pytest.mark.contract
RULES = {
    "timeouts", "no hidden retries", "no redirects", "own identity", "rate limits", "cursor", "unreadable payloads",
    "idempotent writes", "undo",
}  # fmt: skip


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_manifest_is_whole(vendor: str) -> None:
    """It has an owner, each rule is done or exempt with a reason, each scope says why, how and from when on."""
    read = read_manifest(vendor)
    assert read.vendor == vendor
    assert read.owner
    assert {rule.rule for rule in read.rules} >= RULES
    assert [rule.rule for rule in read.rules if bool(rule.done) == bool(rule.exempt)] == []
    assert all(scope.why and scope.grant.endswith(".") for scope in read.scopes)
    listed = {f"{call.method} {call.path}" for call in read.calls}
    assert {scope.shown_by for scope in read.scopes if scope.shown_by} <= listed


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_watcher_needs_no_right_to_write(vendor: str) -> None:
    """What only observes makes no call that changes anything, but for searches that are sent as POST."""
    reading = ("/search", "/changelog/bulkfetch")
    calls = [call for call in read_manifest(vendor).calls if call.autonomy == "observe"]
    writes = [
        call.path for call in calls if call.method != "GET" and not any(w in call.path for w in reading)
    ]
    assert writes == []


@pytest.mark.parametrize("vendor", VENDORS)
def test_nothing_is_ever_approved(vendor: str) -> None:
    """There is no call to approve with."""
    assert [call.path for call in read_manifest(vendor).calls if "approv" in call.path] == []


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_call_that_is_not_listed_is_not_sent(vendor: str, method: str) -> None:
    """It is refused before anything leaves the machine, and the sentence names it."""
    with Unkind(answer(200)) as server:
        session = new_session(Wire(vendor=vendor, url=server.url))
        with pytest.raises(Permanent, match="is not in the manifest"), calling(vendor, wrote=True):
            session.request(method, f"{server.url}/api/now/table/sysapproval_approver")
        assert server.asked == []


def test_a_part_of_a_path_is_one_part() -> None:
    """`{id}` stands for no more than one part, so a longer path is another call; a base path is left out."""
    listed = read_manifest("jira").lists
    assert listed("GET", "/rest/api/3/issue/OPS-1")
    assert listed("GET", "/rest/api/3/issue/OPS-1/votes") is None
    assert listed("DELETE", "/rest/api/3/issue/OPS-1") is None
    assert (
        manifest.path_below("https://x/jira/", "https://x/jira/rest/api/3/myself?a=b") == "/rest/api/3/myself"
    )


def test_a_manifest_that_is_missing_or_wrong_stops_at_the_start() -> None:
    """A build that lost its manifest makes no call, and says so; a field that nobody knows is refused."""
    with pytest.raises(ConfigError, match="install Countersign again"):
        read_manifest("nowhere")
    wrong = yaml.safe_load("{vendor: x, owner: y, scopes: [], calls: [{method: TRACE}], rules: [], more: 1}")
    with pytest.raises(ValueError, match=r"more"):
        Manifest.model_validate(wrong)
