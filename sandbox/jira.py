"""Jira Cloud in miniature: REST 2 and 3 and the service desk's comments, with a search that lags behind."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from typing import Any

from aiohttp import web

from sandbox import jira_query, jira_records
from sandbox.jira_records import Comment, Issue, JiraError, Records
from sandbox.jira_search import reader
from sandbox.jira_shapes import Json, Shapes, stamp
from sandbox.world import World, marker_in

_REFUSALS = {
    400: "The request is invalid.",
    401: "Client must be authenticated to access this resource.",
    403: "You do not have permission to do this.",
    404: "Issue does not exist or you do not have permission to see it.",
    405: "Method Not Allowed",
    409: "The issue could not be updated due to a conflicting update.",
    410: "The requested API has been removed. Please migrate to the /rest/api/3/search/jql API.",
    429: "Rate limit exceeded.",
}
_RESET_AFTER = timedelta(seconds=30)
_PAGE, _LARGEST_PAGE, _MOST_RECONCILED = 50, 100, 50
_INTERNAL = "sd.public.comment"
_CHANGE_TYPE = "10012"
_LINK_TYPES = frozenset({"Relates", "Blocks", "Duplicate", "Cloners"})
_SIDES = ("inwardIssue", "outwardIssue")
_DESK_USER = frozenset({"accountId", "displayName", "emailAddress", "active", "timeZone"})
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Jira:
    """One site. `hidden` are keys that the user's permissions withhold from search pages after they were cut.

    `withheld` are permissions that the user lacks. `expired`: the token is no longer valid, and who sends it sees what
    anybody sees, which is nothing: a header alone tells. `links` are (type, inward key, outward key). `zone` is the
    profile's UTC offset, in which JQL reads times. The write log holds requests over HTTP only.
    """

    name = "jira"

    def __init__(self, world: World) -> None:
        self.world = world
        self.records = Records(world=world, projects={"OPS": "Operations", "CHG": "Changes"})
        self.hidden: set[str] = set()
        self.withheld: set[str] = set()
        self.expired = False
        self.links: list[tuple[str, str, str]] = []
        self.zone = timedelta(hours=-7)

    def routes(self) -> list[web.RouteDef]:
        issue = "/issue/{issue}"
        table: list[tuple[str, str, _Handler]] = [
            ("GET", "/serverInfo", self._server_info),
            ("GET", "/field", self._field),
            ("GET", "/myself", self._myself),
            ("GET", "/mypermissions", self._permissions),
            ("POST", "/issueLink", self._link),
            ("GET", "/user/groups", self._user_groups),
            ("GET", "/group/member", self._group_member),
            ("GET", "/group", self._group),
            ("GET", "/project/{project}", self._project),
            ("GET", "/search/jql", self._search),
            ("POST", "/search/jql", self._search),
            ("GET", "/search", self._search_removed),
            ("POST", "/search", self._search_removed),
            ("POST", "/changelog/bulkfetch", self._bulk_changelog),
            ("GET", "/issue/createmeta/{project}/issuetypes", self._create_types),
            ("GET", "/issue/createmeta/{project}/issuetypes/{type}", self._create_fields),
            ("POST", "/issue", self._create),
            ("GET", issue, self._get),
            ("PUT", issue, self._edit),
            ("GET", issue + "/comment", self._comments),
            ("POST", issue + "/comment", self._add_comment),
            ("GET", issue + "/comment/{comment}", self._get_comment),
            ("PUT", issue + "/comment/{comment}", self._edit_comment),
            ("DELETE", issue + "/comment/{comment}", self._delete_comment),
            ("GET", issue + "/transitions", self._transitions),
            ("POST", issue + "/transitions", self._transition),
            ("GET", issue + "/properties", self._properties),
            ("GET", issue + "/properties/{key}", self._property),
            ("PUT", issue + "/properties/{key}", self._set_property),
            ("GET", issue + "/changelog", self._changelog),
            ("POST", issue + "/attachments", self._attach),
            ("DELETE", "/attachment/{file}", self._detach),
            ("PUT", issue + "/assignee", self._assign),
        ]
        made = [
            web.route(method, f"/rest/api/{version}{path}", self._guarded(handler))
            for version in ("2", "3")
            for method, path, handler in table
        ]
        desk = "/rest/servicedeskapi/request/{issue}/comment"
        made.append(web.get(desk, self._guarded(self._desk_comments)))
        made.append(web.post(desk, self._guarded(self._desk_comment)))
        return made

    def actor(self, request: web.Request) -> str | None:
        """The user name stands before the @ of the e-mail address; bearer tokens belong to one app."""
        if request.path.endswith("/serverInfo"):
            return "anonymous"
        kind, _, secret = request.headers.get("Authorization", "").partition(" ")
        if kind == "Basic":
            email = base64.b64decode(secret).decode(errors="replace").partition(":")[0]
            return email.partition("@")[0] or None
        return "integration.api" if secret else None

    def error(self, status: int) -> web.Response:
        headers: dict[str, str] = {}
        if status == 429:
            reset = (self.world.clock.now() + _RESET_AFTER).strftime("%Y-%m-%dT%H:%MZ")
            headers = {"Retry-After": str(int(_RESET_AFTER.total_seconds())), "X-RateLimit-Reset": reset}
            headers |= {"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "0"}
            headers["RateLimit-Reason"] = "jira-burst-based"
        return _refusal(status, [_REFUSALS.get(status, "Internal server error")], {}, headers)

    def counts(self) -> dict[str, int]:
        comments = sum(len(issue.comments) for issue in self.records.issues.values())
        return {"issues": len(self.records.issues), "comments": comments}

    # What the scenario and the engineers do by hand.

    def open_issue(
        self,
        project: str = "OPS",
        *,
        user: str = "monitoring",
        opened: datetime | None = None,
        **fields: object,
    ) -> Issue:
        """A new issue; `fields` as in REST, but plain: issuetype="Incident", assignee="dana.okafor"."""
        return self.records.create(project, dict(fields), user, opened=opened)

    def add_comment(self, key: str, user: str, text: str, internal: bool = True) -> Comment:
        marks: dict[str, object] = {_INTERNAL: {"internal": True}} if internal else {}
        return self.records.comment(self.records.find(key), user, text, marks)

    def edit_comment(self, key: str, comment: Comment, user: str, text: str) -> None:
        """Somebody writes over a comment, their own or another's."""
        issue = self.records.find(key)
        fresh = self.records.comment(issue, user, text, {})
        issue.comments.remove(fresh)  # made only to have the text read in one place
        comment.body, comment.updated, comment.update_author = fresh.body, fresh.updated, user

    def transition(self, key: str, user: str, name: str, resolution: str | None = None) -> None:
        """Follow the arrow of that name; raises JiraError if it does not start at the issue's status."""
        issue = self.records.find(key)
        arrow = next(arrow for arrow in jira_records.TRANSITIONS if arrow.name == name)
        self.records.move(issue, arrow.id, {"resolution": resolution} if resolution else {}, user)

    def set_fields(self, key: str, user: str, **fields: object) -> None:
        self.records.edit(self.records.find(key), dict(fields), user)

    def issue(self, key: str) -> Issue:
        """The live issue. Raises JiraError if there is none."""
        return self.records.find(key)

    def add_group(self, name: str, members: list[str]) -> None:
        """The group of that name, made if there is none yet, with these user names as additional members."""
        group = self.records.groups.setdefault(name, [])
        group += [member for member in members if member not in group]
        for member in members:
            self.records.account_of(member)

    def add_project(self, key: str, name: str) -> None:
        self.records.projects[key] = name

    # Site, people and metadata

    async def _server_info(self, request: web.Request) -> web.Response:
        now = stamp(self.world.clock.now())
        info = {"baseUrl": str(request.url.origin()), "version": "1001.0.0-SNAPSHOT", "buildNumber": 100290}
        info |= {"versionNumbers": [1001, 0, 0], "deploymentType": "Cloud", "serverTime": now}
        return web.json_response({**info, "serverTitle": "Sandbox", "scmInfo": "sandbox"})

    async def _field(self, _: web.Request) -> web.Response:
        fields = [
            _field(name, name.capitalize(), False) for name in ("status", *sorted(jira_records.SETTABLE))
        ]
        custom = [_field(name, label, True) for name, label in jira_records.CUSTOM.items()]
        return web.json_response([field for field in fields if not field["id"].startswith("custom")] + custom)

    async def _myself(self, request: web.Request) -> web.Response:
        return web.json_response(self._shapes(request).user(self.actor(request) or ""))

    async def _permissions(self, request: web.Request) -> web.Response:
        names = _listed(request, "permissions")
        if not names:
            raise JiraError("The 'permissions' query parameter is required.")
        shown = {name: {"key": name, "havePermission": name not in self.withheld} for name in names}
        return web.json_response({"permissions": shown})

    async def _link(self, request: web.Request) -> web.Response:
        body = await _json(request)
        sides = [self.records.find(str((body.get(side) or {}).get("key", ""))) for side in _SIDES]
        kind = str((body.get("type") or {}).get("name", ""))
        if kind not in _LINK_TYPES:
            raise JiraError(f"No issue link type with name '{kind}' found.", status=404)
        self.links.append((kind, sides[0].key, sides[1].key))
        await self._log(request, "link", sides[0], body)
        return web.Response(status=201)

    async def _user_groups(self, request: web.Request) -> web.Response:
        name = self.records.users.get(request.query.get("accountId", ""))
        if not name:
            raise JiraError(
                "Specified user does not exist or you do not have required permissions", status=404
            )
        groups = [group for group, members in self.records.groups.items() if name in members]
        return web.json_response([_group(request, group) for group in groups])

    async def _group_member(self, request: web.Request) -> web.Response:
        members = [self._shapes(request).user(name) for name in self._members(request)]
        start, limit = _window(request)
        return web.json_response(_page("values", members, start, limit))

    async def _group(self, request: web.Request) -> web.Response:
        people = [self._shapes(request).user(name) for name in self._members(request)]
        users = {"size": len(people), "items": people, "start-index": 0, "end-index": len(people)}
        return web.json_response({**_group(request, request.query["groupname"]), "users": users})

    def _members(self, request: web.Request) -> list[str]:
        group = request.query.get("groupname", request.query.get("groupId", ""))
        if group not in self.records.groups:
            raise JiraError(f"The group named '{group}' does not exist.", status=404)
        return self.records.groups[group]

    async def _project(self, request: web.Request) -> web.Response:
        key = self._project_key(request)
        types = [{"id": number, "name": name} for number, name in jira_records.ISSUE_TYPES.items()]
        return web.json_response(
            {"id": "10000", "key": key, "name": self.records.projects[key], "issueTypes": types}
        )

    async def _create_types(self, request: web.Request) -> web.Response:
        self._project_key(request)
        types: list[Json] = [
            {"id": number, "name": name, "description": "", "subtask": False}
            for number, name in jira_records.ISSUE_TYPES.items()
        ]
        start, limit = _window(request)
        return web.json_response(_page("issueTypes", types, start, limit))

    async def _create_fields(self, request: web.Request) -> web.Response:
        self._project_key(request)
        names = {name: jira_records.CUSTOM.get(name, name.capitalize()) for name in jira_records.SETTABLE}
        fields: list[Json] = [
            {
                "fieldId": name,
                "key": name,
                "name": label,
                "required": name == "summary",
                "operations": ["set"],
            }
            for name, label in sorted(names.items())
        ]
        start, limit = _window(request)
        return web.json_response(_page("fields", fields, start, limit))

    def _project_key(self, request: web.Request) -> str:
        key = request.match_info["project"]
        if key not in self.records.projects:
            raise JiraError(f"No project could be found with key '{key}'.", status=404)
        return key

    # Search

    async def _search_removed(self, _: web.Request) -> web.Response:
        return self.error(410)

    async def _search(self, request: web.Request) -> web.Response:
        asked = await _asked(request)
        reconciled = {str(number) for number in asked.get("reconcileIssues") or ()}
        if len(reconciled) > _MOST_RECONCILED:
            raise JiraError("The number of issues to reconcile exceeds the limit of 50.")
        states, found = self._run(str(asked.get("jql", "")), reconciled)
        start = _offset_of(asked.get("nextPageToken"))
        limit = min(int(asked.get("maxResults") or _PAGE), _LARGEST_PAGE)
        keys = [key for key in found[start : start + limit] if key not in self.hidden]
        shapes, wanted = self._shapes(request), list(asked.get("fields") or ())
        body: Json = {
            "issues": [shapes.issue(self.records.issues[key], states[key], wanted) for key in keys],
            "isLast": start + limit >= len(found),
        }
        if not body["isLast"]:
            body["nextPageToken"] = base64.urlsafe_b64encode(f"from:{start + limit}".encode()).decode()
        return web.json_response(body)

    def _run(self, jql: str, reconciled: set[str]) -> tuple[dict[str, Json], list[str]]:
        """What the search knows, by key, and the keys that it finds, in order."""
        now = self.world.clock.now()
        try:
            query = jira_query.parse(jql)
            states = self._search_states(query.keys(), reconciled)
            readers = {key: reader(self.records.issues[key], state) for key, state in states.items()}
            return states, query.apply(readers, lambda text: jira_query.time_of(text, now, self.zone))
        except jira_query.JqlError as wrong:
            raise JiraError(str(wrong)) from wrong

    def _search_states(self, names: set[str] | None, reconciled: set[str]) -> dict[str, Json]:
        known = self.records.issues
        if names is None:
            issues = list(known.values())
        else:
            keys = {self.records.keys.get(name, name) for name in names} & known.keys()
            issues = sorted((known[key] for key in keys), key=lambda issue: int(issue.id))
        states: dict[str, Json] = {}
        for issue in issues:
            state = self.records.state_of(issue) if issue.id in reconciled else self.records.indexed(issue)
            if state:
                states[issue.key] = state
        return states

    # Issues

    async def _create(self, request: web.Request) -> web.Response:
        body = await _json(request)
        fields, user = dict(body.get("fields") or {}), self.actor(request) or ""
        project = fields.get("project") or {}
        properties = {entry["key"]: entry.get("value") for entry in body.get("properties") or ()}
        issue = self.records.create(str(project.get("key", "")), fields, user)
        issue.properties.update(properties)
        kind = "change" if issue.fields["issuetype"] == _CHANGE_TYPE else "create"
        await self._log(request, kind, issue, body)
        link = f"{self._shapes(request).base}/issue/{issue.id}"
        return web.json_response({"id": issue.id, "key": issue.key, "self": link}, status=201)

    async def _get(self, request: web.Request) -> web.Response:
        issue, shapes = self._issue(request), self._shapes(request)
        wanted = _listed(request, "fields") or ["*all"]
        body = shapes.issue(issue, self.records.state_of(issue), wanted)
        names = _listed(request, "properties")
        if names:
            body["properties"] = {
                name: value for name, value in issue.properties.items() if name in names or "*all" in names
            }
        if "changelog" in request.query.get("expand", ""):
            histories = [shapes.change(change) for change in reversed(issue.changelog)]
            body["changelog"] = _page("histories", histories, 0, max(1, len(histories)))
        return web.json_response(body)

    async def _edit(self, request: web.Request) -> web.Response:
        issue, body, user = self._issue(request), await _json(request), self.actor(request) or ""
        fields = {**(body.get("fields") or {}), **_updated(issue, body.get("update") or {})}
        kind = "route" if {"assignee", "customfield_10052"} & fields.keys() else "fields"
        self.records.edit(issue, fields, user)
        said = self._comment_of_update(issue, body, user)
        issue.properties.update({entry["key"]: entry.get("value") for entry in body.get("properties") or ()})
        await self._log(request, "note" if said and not fields else kind, issue, body)
        return web.Response(status=204)

    async def _assign(self, request: web.Request) -> web.Response:
        issue, body = self._issue(request), await _json(request)
        self.records.edit(issue, {"assignee": body}, self.actor(request) or "")
        await self._log(request, "route", issue, body)
        return web.Response(status=204)

    def _comment_of_update(self, issue: Issue, body: Json, user: str) -> bool:
        added = [op["add"] for op in (body.get("update") or {}).get("comment", ()) if "add" in op]
        for comment in added:
            self.records.comment(issue, user, comment.get("body"), _marks(comment))
        return bool(added)

    async def _transitions(self, request: web.Request) -> web.Response:
        issue, shapes = self._issue(request), self._shapes(request)
        open_now = [arrow for arrow in jira_records.TRANSITIONS if arrow.source == issue.fields["status"]]
        with_fields = "transitions.fields" in request.query.get("expand", "")
        shown = [shapes.transition(arrow, with_fields) for arrow in open_now]
        return web.json_response({"expand": "transitions", "transitions": shown})

    async def _transition(self, request: web.Request) -> web.Response:
        issue, body, user = self._issue(request), await _json(request), self.actor(request) or ""
        was_done = issue.done
        number = str((body.get("transition") or {}).get("id", ""))
        self.records.move(issue, number, body.get("fields") or {}, user)
        self._comment_of_update(issue, body, user)
        issue.properties.update({entry["key"]: entry.get("value") for entry in body.get("properties") or ()})
        kind = "close" if issue.done else "reopen" if was_done else "fields"
        await self._log(request, kind, issue, body)
        return web.Response(status=204)

    async def _changelog(self, request: web.Request) -> web.Response:
        issue, shapes = self._issue(request), self._shapes(request)
        start, limit = _window(request, 100)
        return web.json_response(
            _page("values", [shapes.change(change) for change in issue.changelog], start, limit)
        )

    async def _bulk_changelog(self, request: web.Request) -> web.Response:
        asked, shapes = await _json(request), self._shapes(request)
        only = set(asked.get("fieldIds") or ())
        logs = []
        for name in asked.get("issueIdsOrKeys") or ():
            issue = self.records.find(str(name))
            kept = [
                c for c in issue.changelog if not only or only & {str(item["fieldId"]) for item in c.items}
            ]
            histories = [shapes.change(change) for change in kept]
            logs.append({"issueId": issue.id, "changeHistories": histories})
        return web.json_response({"issueChangeLogs": logs})

    # Comments

    async def _comments(self, request: web.Request) -> web.Response:
        comments = list(self._issue(request).comments)
        if request.query.get("orderBy", "") == "-created":
            comments.reverse()
        start, limit = _window(request, 5000)
        return web.json_response(self._shapes(request).comments(comments, start, limit, _expands(request)))

    async def _add_comment(self, request: web.Request) -> web.Response:
        issue, body = self._issue(request), await _json(request)
        made = self.records.comment(issue, self.actor(request) or "", body.get("body"), _marks(body))
        await self._log(request, "note", issue, body)
        return web.json_response(self._shapes(request).comment(made, _expands(request)), status=201)

    async def _get_comment(self, request: web.Request) -> web.Response:
        return web.json_response(self._shapes(request).comment(self._comment(request), _expands(request)))

    async def _edit_comment(self, request: web.Request) -> web.Response:
        issue, comment, body = self._issue(request), self._comment(request), await _json(request)
        user = self.actor(request) or ""
        fresh = self.records.comment(issue, user, body.get("body"), {**comment.properties, **_marks(body)})
        issue.comments.remove(fresh)  # made only to have the body read and refused in one place
        comment.body, comment.properties = fresh.body, fresh.properties
        comment.updated, comment.update_author = fresh.updated, user
        await self._log(request, "edit", issue, body)
        return web.json_response(self._shapes(request).comment(comment, _expands(request)))

    async def _delete_comment(self, request: web.Request) -> web.Response:
        issue, comment = self._issue(request), self._comment(request)
        issue.comments.remove(comment)
        self.records.touch(issue)
        await self._log(request, "delete", issue, {"comment": comment.id})
        return web.Response(status=204)

    def _comment(self, request: web.Request) -> Comment:
        number = request.match_info["comment"]
        for comment in self._issue(request).comments:
            if comment.id == number:
                return comment
        raise JiraError(f"Can not find a comment for the id: {number}.", status=404)

    async def _desk_comments(self, request: web.Request) -> web.Response:
        comments = [
            _desk_comment(self._shapes(request), comment) for comment in self._issue(request).comments
        ]
        start, limit = int(request.query.get("start", "0")), int(request.query.get("limit", "50"))
        page = comments[start : start + limit]
        body = {"size": len(page), "start": start, "limit": limit, "values": page}
        return web.json_response({**body, "isLastPage": start + limit >= len(comments)})

    async def _desk_comment(self, request: web.Request) -> web.Response:
        issue, body = self._issue(request), await _json(request)
        marks: dict[str, object] = {} if body.get("public", True) else {_INTERNAL: {"internal": True}}
        made = self.records.comment(issue, self.actor(request) or "", body.get("body"), marks)
        await self._log(request, "note", issue, body)
        return web.json_response(_desk_comment(self._shapes(request), made), status=201)

    # Properties and attachments

    async def _properties(self, request: web.Request) -> web.Response:
        base = f"{self._shapes(request).base}/issue/{request.match_info['issue']}/properties"
        keys = [{"key": key, "self": f"{base}/{key}"} for key in self._issue(request).properties]
        return web.json_response({"keys": keys})

    async def _property(self, request: web.Request) -> web.Response:
        issue, key = self._issue(request), request.match_info["key"]
        if key not in issue.properties:
            raise JiraError(f"The property with key '{key}' does not exist.", status=404)
        return web.json_response({"key": key, "value": issue.properties[key]})

    async def _set_property(self, request: web.Request) -> web.Response:
        issue, key = self._issue(request), request.match_info["key"]
        value = await _any_json(request)
        status = 200 if key in issue.properties else 201
        issue.properties[key] = value
        await self._log(request, "property", issue, {"key": key, "value": value})
        return web.Response(status=status)

    async def _attach(self, request: web.Request) -> web.Response:
        issue, user = self._issue(request), self.actor(request) or ""
        if request.headers.get("X-Atlassian-Token") != "no-check":
            raise JiraError("XSRF check failed", status=403)
        made = []
        for name, data in _files(request.headers.get("Content-Type", ""), await request.read()):
            entry: Json = {"id": self.records.new_id(), "filename": name, "size": len(data)}
            entry |= {"author": self._shapes(request).user(user), "created": stamp(self.world.clock.now())}
            made.append(entry)
        issue.attachments.extend(made)
        self.records.touch(issue)
        await self._log(request, "attachment", issue, {"files": [entry["filename"] for entry in made]})
        return web.json_response(made)

    async def _detach(self, request: web.Request) -> web.Response:
        number = request.match_info["file"]
        for issue in self.records.issues.values():
            for entry in issue.attachments:
                if entry["id"] == number:
                    issue.attachments.remove(entry)
                    self.records.touch(issue)
                    await self._log(request, "detach", issue, {"file": entry["filename"]})
                    return web.Response(status=204)
        raise JiraError(f"The attachment with id '{number}' does not exist", status=404)

    # What the handlers share

    def _issue(self, request: web.Request) -> Issue:
        return self.records.find(request.match_info["issue"])

    def _shapes(self, request: web.Request) -> Shapes:
        version = "2" if "/api/2/" in request.path else "3"
        base = f"{request.url.origin()}/rest/api/{version}"
        return Shapes(base=base, version=version, account_of=self.records.account_of)

    def _guarded(self, handler: _Handler) -> _Handler:
        """A handler whose refusals are answered in Jira's words."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            if self.expired:
                return self._for_anybody(request)
            try:
                return await handler(request)
            except JiraError as refused:
                return _refusal(refused.status, refused.messages, refused.errors, {})

        return guarded

    def _for_anybody(self, request: web.Request) -> web.Response:
        told = {"X-Seraph-LoginReason": "AUTHENTICATED_FAILED"}
        if request.path.endswith("/search/jql"):
            return web.json_response({"issues": [], "isLast": True}, headers=told)
        status = 401 if request.path.endswith("/myself") else 404
        return _refusal(status, [_REFUSALS[status]], {}, told)

    async def _log(self, request: web.Request, kind: str, issue: Issue, body: Json) -> None:
        sent = (await request.read()).decode(errors="replace")
        user = self.actor(request) or ""
        self.world.log(self.name, kind, issue.key, actor=user, marker=marker_in(sent), body=body)


def _updated(issue: Issue, update: Json) -> dict[str, Any]:
    """The `update` part of an edit as fields: labels and components know add, remove and set."""
    fields: dict[str, Any] = {}
    for name, operations in update.items():
        if name == "comment":
            continue
        value = list(issue.fields.get(name) or ()) if name in ("labels", "components") else None
        for operation in operations:
            for verb, what in operation.items():
                value = _operated(verb, value, what)
        fields[name] = value
    return fields


def _operated(verb: str, value: Any, what: Any) -> Any:
    if verb == "add":
        return [*value, what] if what not in value else value
    if verb == "remove":
        return [part for part in value if part != what]
    return what


def _expands(request: web.Request) -> bool:
    """Comments show their properties only to those who ask."""
    return "properties" in request.query.get("expand", "")


def _marks(body: Json) -> dict[str, object]:
    return {entry["key"]: entry.get("value") for entry in body.get("properties") or ()}


def _desk_comment(shapes: Shapes, comment: Comment) -> Json:
    at = comment.created
    author = {name: value for name, value in shapes.user(comment.author).items() if name in _DESK_USER}
    created = {"iso8601": stamp(at), "jira": stamp(at), "friendly": at.strftime("%d/%b/%y %I:%M %p")}
    return {
        "id": comment.id,
        "body": comment.body.text,
        "public": not comment.internal,
        "author": author,
        "created": {**created, "epochMillis": int(at.timestamp() * 1000)},
    }


def _field(name: str, label: str, custom: bool) -> Json:
    clauses = [name] if not custom else [f"cf[{name.removeprefix('customfield_')}]", label]
    shown = {"id": name, "key": name, "name": label, "custom": custom, "clauseNames": clauses}
    return {**shown, "navigable": True, "orderable": True, "searchable": True}


def _group(request: web.Request, name: str) -> Json:
    return {"name": name, "groupId": name, "self": f"{request.url.origin()}/rest/api/3/group?groupId={name}"}


def _window(request: web.Request, limit: int = _PAGE) -> tuple[int, int]:
    return int(request.query.get("startAt", "0")), int(request.query.get("maxResults", str(limit)))


def _page(name: str, rows: list[Json], start: int, limit: int) -> Json:
    body: Json = {
        name: rows[start : start + limit],
        "startAt": start,
        "maxResults": limit,
        "total": len(rows),
    }
    return {**body, "isLast": start + limit >= len(rows)} if name == "values" else body


def _listed(request: web.Request, name: str) -> list[str]:
    """A list parameter, which clients send repeated or with commas."""
    return [part for value in request.query.getall(name, []) for part in value.split(",") if part]


async def _asked(request: web.Request) -> Json:
    if request.method == "POST":
        return await _json(request)
    lists = {name: _listed(request, name) for name in ("fields", "properties", "reconcileIssues")}
    return {**request.query, **lists}


def _offset_of(token: object) -> int:
    if not token:
        return 0
    try:
        return int(base64.urlsafe_b64decode(str(token)).decode().removeprefix("from:"))
    except ValueError:
        raise JiraError("The provided next page token is invalid.") from None


async def _json(request: web.Request) -> Json:
    read = await _any_json(request)
    if not isinstance(read, dict):
        raise JiraError("Invalid request payload. Refer to the REST API documentation and try again.")
    return read


async def _any_json(request: web.Request) -> object:
    try:
        read: object = json.loads(await request.text())
    except ValueError:
        raise JiraError("Unexpected character: the request is no JSON.") from None
    return read


def _files(content_type: str, body: bytes) -> list[tuple[str, bytes]]:
    """The files of a multipart request."""
    whole = message_from_bytes(
        b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body, policy=policy.HTTP
    )
    found = []
    for part in whole.walk():
        if part.get_filename():
            data = part.get_payload(decode=True)
            found.append((str(part.get_filename()), data if isinstance(data, bytes) else b""))
    return found


def _refusal(
    status: int, messages: list[str], errors: dict[str, str], headers: dict[str, str]
) -> web.Response:
    return web.json_response({"errorMessages": messages, "errors": errors}, status=status, headers=headers)
