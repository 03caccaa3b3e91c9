"""What Splunk's answers look like: entries in Atom XML and in JSON, result rows and messages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from aiohttp import web

Json = dict[str, Any]
# Times are shown with the asking user's offset, which is not UTC: only the epoch fields can be compared.
USER_ZONE = timezone(timedelta(hours=5, minutes=30))


def shown_row(row: Json) -> Json:
    """A row as the user sees it: `_time` becomes text with the user's offset."""
    if "_time" not in row:
        return row
    when = datetime.fromtimestamp(float(row["_time"]), tz=USER_ZONE)
    return row | {"_time": when.isoformat(timespec="milliseconds")}


def rendered(when: datetime) -> str:
    return when.astimezone(USER_ZONE).strftime("%Y-%m-%d %H:%M:%S IST")


def entry_of(path: str, name: str, content: Json, at: datetime | None = None) -> Json:
    link = f"{path}/{quote(name, safe='')}"
    updated = at.astimezone(USER_ZONE).isoformat(timespec="seconds") if at else "1970-01-01T05:30:00+05:30"
    acl = {
        "app": "noc",
        "can_list": True,
        "can_write": True,
        "modifiable": False,
        "owner": "admin",
        "sharing": "app",
    }
    return {
        "name": name,
        "id": f"https://localhost:8089{link}",
        "updated": updated,
        "links": {"alternate": link, "list": link},
        "author": "admin",
        "acl": acl | {"perms": {"read": ["*"], "write": ["admin"]}, "removable": True},
        "content": {"eai:acl": None} | content,
    }


def json_feed(entries: list[Json], total: int, offset: int = 0) -> Json:
    return {
        "links": {},
        "generator": {"build": "33c3bf42cd73", "version": "10.4.2"},
        "entry": entries,
        "paging": {"total": total, "perPage": 30, "offset": offset},
        "messages": [],
    }


def xml_feed(title: str, entries: list[Json], total: int, offset: int) -> str:
    spaces = (
        'xmlns="http://www.w3.org/2005/Atom" xmlns:s="http://dev.splunk.com/ns/rest" '
        'xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/"'
    )
    inside = "".join(xml_entry(entry, root=False) for entry in entries)
    counts = f"<opensearch:totalResults>{total}</opensearch:totalResults>"
    counts += f"<opensearch:startIndex>{offset}</opensearch:startIndex>"
    return f"<feed {spaces}><title>{escape(title)}</title>{counts}<s:messages/>{inside}</feed>"


def xml_entry(entry: Json, *, root: bool) -> str:
    spaces = ' xmlns="http://www.w3.org/2005/Atom" xmlns:s="http://dev.splunk.com/ns/rest"' if root else ""
    links = "".join(f'<link href="{escape(href)}" rel="{rel}"/>' for rel, href in entry["links"].items())
    content = entry["content"] | {"eai:acl": entry["acl"]}
    return (
        f"<entry{spaces}><title>{escape(entry['name'])}</title><id>{escape(entry['id'])}</id>"
        f"<updated>{entry['updated']}</updated>{links}<author><name>{entry['author']}</name></author>"
        f'<content type="text/xml">{_xml_value(content)}</content></entry>'
    )


def _xml_value(value: object) -> str:
    """Splunk's own XML of a value: truth is 1 and 0, nothing is empty, the rest nests or is text."""
    if isinstance(value, dict):
        keys = "".join(
            f"<s:key name={quoteattr(str(key))}>{_xml_value(one)}</s:key>" for key, one in value.items()
        )
        return f"<s:dict>{keys}</s:dict>"
    if isinstance(value, list):
        return f"<s:list>{''.join(f'<s:item>{_xml_value(one)}</s:item>' for one in value)}</s:list>"
    plain: Callable[[object], str] = {bool: lambda one: str(int(bool(one))), type(None): lambda _: ""}.get(
        type(value), str
    )
    return escape(plain(value))


def xml_results(names: list[str], rows: list[Json]) -> str:
    order = "".join(f"<field>{escape(name)}</field>" for name in names)

    def cell(name: str, value: object) -> str:
        return f"<field k={quoteattr(name)}><value><text>{escape(str(value))}</text></value></field>"

    inside = "".join(
        f"<result offset='{offset}'>{''.join(cell(name, value) for name, value in row.items())}</result>"
        for offset, row in enumerate(rows)
    )
    return f"<results preview='0'><meta><fieldOrder>{order}</fieldOrder></meta>{inside}</results>"


def xml(text: str, status: int = 200) -> web.Response:
    return web.Response(
        text=f'<?xml version="1.0" encoding="UTF-8"?>\n{text}', status=status, content_type="text/xml"
    )


def message(status: int, kind: str, text: str, *, json_wanted: bool) -> web.Response:
    if json_wanted:
        return web.json_response({"messages": [{"type": kind, "text": text}]}, status=status)
    inside = f'<msg type="{kind}">{escape(text)}</msg>'
    return xml(f"<response><messages>{inside}</messages></response>", status=status)
