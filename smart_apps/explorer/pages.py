"""The explorer's pages: templates that escape everything, under a policy that allows no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import nh3
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from chartloop.kernel.access.engine import View
from smart_apps import clinical
from smart_apps.explorer import rows
from smart_apps.explorer.addresses import Addresses
from smart_apps.explorer.asking import without_format
from smart_apps.explorer.bars import bars
from smart_apps.explorer.tree import tree

HEADERS: Final = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"),
    ("Vary", "Accept, Cookie"),
)
_NARRATIVE: Final = frozenset({
    "a", "b", "blockquote", "br", "caption", "code", "dd", "div", "dl", "dt", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "li", "ol", "p", "pre",
    "small", "span", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
})  # fmt: skip
_TITLES: Final = {400: "That cannot be asked", 401: "Please sign in", 403: "Not for you", 404: "Nothing here", 406: "That cannot be answered", 410: "Deleted"}
_WITH_EVERYTHING: Final = frozenset({"Patient", "Encounter"})


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page stands: links, who looks, and what was asked for."""

    addresses: Addresses
    display: str
    path: str
    query: str
    login: str

    @property
    def sign_in(self) -> str:
        """Give the address of the login page that leads back here; "" where there is none."""
        here = self.path + (f"?{self.query}" if self.query else "")
        return f"{self.login}?{urlencode({'next': here})}" if self.login else ""

    def data(self, format_: str) -> str:
        """Give this very address in a format for programs."""
        query = without_format(self.query)
        return f"{quote(self.path)}?{query}{'&' if query else ''}_format={format_}"

    @property
    def type(self) -> str:
        """Give the type that the address names; "" for none."""
        step = self.path.removeprefix(self.addresses.path).strip("/").partition("/")[0]
        return step if step[:1].isupper() else ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules say of a resource and its reader."""

    views: Sequence[View]
    elements: tuple[str, ...]
    audit: bool


@cache
def _environment() -> Environment:
    folder = Path(__file__).parent / "templates"
    return Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _render(template: str, place: Place, **facts: Any) -> str:
    return _environment().get_template(template).render(place=place, **facts)


def start(place: Place, types: Sequence[str]) -> str:
    """Write the first page: what may be looked for."""
    return _render("start.html", place, types=types)


def refusal(place: Place, status: int, outcome: Mapping[str, Any]) -> str:
    """Write why there is nothing to see."""
    issues = [clinical.text(issue.get("diagnostics")) for issue in clinical.listed(outcome.get("issue"))]
    return _render("refusal.html", place, title=_TITLES.get(status, "Sorry"), status=status, issues=[text for text in issues if text])


def bundle(place: Place, found: Mapping[str, Any]) -> str:
    """Write a page of a search or a history."""
    links = {clinical.text(link.get("relation")): place.addresses.of_link(clinical.text(link.get("url"), 8_000)) for link in clinical.listed(found.get("link"))}
    total = found.get("total")
    history = found.get("type") == "history"
    events = place.type == "AuditEvent" and not history
    shown = rows.versions if history else rows.events if events else rows.rows
    template = "history.html" if history else "events.html" if events else "search.html"
    return _render(template, place, entries=shown(found, place.addresses), total=total, next=links.get("next", ""), previous=links.get("previous", ""))


def resource(place: Place, found: Mapping[str, Any], facts: Facts) -> str:
    """Write one resource: its words, its tree, its bars, and why it is seen."""
    type_, id_ = clinical.text(found.get("resourceType")), clinical.text(found.get("id"))
    meta = clinical.mapping(found.get("meta"))
    links = place.addresses
    tabs = [("Resource", links.of(type_, id_)), ("History", links.of(type_, id_, "_history"))] if id_ else []
    if id_ and facts.audit:
        tabs.append(("Audit trail", links.of("AuditEvent", entity=f"{type_}/{id_}")))
    if type_ in _WITH_EVERYTHING:
        tabs.append(("Everything", links.of(type_, id_, "$everything")))
    return _render(
        "resource.html",
        place,
        type=type_,
        id=id_,
        version=clinical.text(meta.get("versionId")),
        updated=clinical.minute(clinical.text(meta.get("lastUpdated"))),
        words=rows.words(found),
        narrative=narrative(found),
        nodes=tree(found, links),
        bars=bars(facts.elements, facts.views),
        views=facts.views,
        tabs=tabs,
    )


def narrative(found: Mapping[str, Any]) -> Markup:
    """Give the narrative as harmless markup: no style, no picture, no address."""
    div = clinical.mapping(found.get("text")).get("div")
    return Markup(nh3.clean(div, tags=set(_NARRATIVE), attributes={}, link_rel=None)) if isinstance(div, str) else Markup("")  # noqa: S704 nh3 has cleaned it  # nosec B704
