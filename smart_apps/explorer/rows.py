"""The entries of a Bundle as rows of a table: what it is, in a line of words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from smart_apps import clinical
from smart_apps.explorer.addresses import Addresses

_CODED = ("code", "vaccineCode", "medicationCodeableConcept", "type", "class", "category", "serviceType")


class Row(NamedTuple):
    """One entry of a search."""

    name: str
    href: str
    words: str
    when: str
    included: bool


class Event(NamedTuple):
    """One AuditEvent."""

    href: str
    when: str
    who: str
    what: str
    touched: tuple[tuple[str, str], ...]
    refused: bool
    why: str


class Version(NamedTuple):
    """One version of a history, and which elements differ from the version before it, where that is on the page."""

    name: str
    href: str
    version: str
    when: str
    method: str
    changed: str


def rows(bundle: Mapping[str, Any], addresses: Addresses) -> list[Row]:
    """Write the entries of a searchset."""
    found = []
    for entry in clinical.listed(bundle.get("entry")):
        resource = clinical.mapping(entry.get("resource"))
        name = name_of(resource)
        mode = clinical.mapping(entry.get("search")).get("mode")
        found.append(Row(name, addresses.of_reference(name), words(resource), clinical.minute(_updated(resource)), mode == "include"))
    return found


def events(bundle: Mapping[str, Any], addresses: Addresses) -> list[Event]:
    """Write the entries of a searchset of AuditEvents."""
    return [_event(clinical.mapping(entry.get("resource")), addresses) for entry in clinical.listed(bundle.get("entry"))]


def _event(event: Mapping[str, Any], addresses: Addresses) -> Event:
    agent = clinical.first(event.get("agent"))
    who = clinical.mapping(agent.get("who"))
    name = clinical.text(who.get("display")) or clinical.target(who) or clinical.text(clinical.mapping(who.get("identifier")).get("value"))
    role = ", ".join(filter(None, (clinical.concept(each) for each in clinical.listed(agent.get("role")))))
    targets = [clinical.target(entity.get("what")) for entity in clinical.listed(event.get("entity"))]
    return Event(
        addresses.of_reference(f"AuditEvent/{event.get('id')}"),
        clinical.minute(clinical.text(event.get("recorded"))),
        f"{name} ({role})" if role else name,
        clinical.text(clinical.first(event.get("subtype")).get("code")) or clinical.concept(event.get("type")),
        tuple((target, addresses.of_reference(target)) for target in dict.fromkeys(filter(None, targets))),
        event.get("outcome") not in ("0", None),
        clinical.text(event.get("outcomeDesc")),
    )


def versions(bundle: Mapping[str, Any], addresses: Addresses) -> list[Version]:
    """Write the entries of a history; of neighbours on the page it says what changed."""
    entries = clinical.listed(bundle.get("entry"))
    return [_version(entry, entries[number + 1 :], addresses) for number, entry in enumerate(entries)]


def _version(entry: Mapping[str, Any], older: Sequence[Mapping[str, Any]], addresses: Addresses) -> Version:
    resource, request = clinical.mapping(entry.get("resource")), clinical.mapping(entry.get("request"))
    name = name_of(resource) if resource else clinical.text(request.get("url"))
    version = clinical.text(clinical.mapping(resource.get("meta")).get("versionId"))
    when = clinical.text(clinical.mapping(entry.get("response")).get("lastModified")) or _updated(resource)
    before = next((clinical.mapping(each.get("resource")) for each in older if name_of(clinical.mapping(each.get("resource"))) == name), None)
    changed = ", ".join(_changed(before, resource)) if before and resource else ""
    method = {"POST": "created", "PUT": "updated", "PATCH": "patched", "DELETE": "deleted"}.get(clinical.text(request.get("method")), "")
    return Version(name, addresses.of_reference(f"{name}/_history/{version}") if version else "", version, clinical.minute(when), method, changed)


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return [name for name in dict.fromkeys([*before, *after]) if name != "meta" and before.get(name) != after.get(name)]


def name_of(resource: Mapping[str, Any]) -> str:
    """Give "Type/id"."""
    return f"{clinical.text(resource.get('resourceType'))}/{clinical.text(resource.get('id'))}" if resource else ""


def words(resource: Mapping[str, Any]) -> str:
    """Say in a line what a resource is."""
    if resource.get("resourceType") in ("Patient", "Practitioner", "Person", "RelatedPerson"):
        born = clinical.text(resource.get("birthDate"))
        return clinical.person(dict(resource)) + (f", born {born}" if born else "")
    named = clinical.text(resource.get("name")) or clinical.text(resource.get("title"))
    coded = next((said for name in _CODED if (said := _concept(resource.get(name)))), "")
    parts = (named or coded, clinical.measured(dict(resource)) if resource.get("resourceType") == "Observation" else "", clinical.status(dict(resource)), clinical.day(clinical.when(dict(resource))))
    return " · ".join(part for part in parts if part)


def _concept(value: Any) -> str:
    return clinical.concept(clinical.first(value) if isinstance(value, list) else value)


def _updated(resource: Mapping[str, Any]) -> str:
    return clinical.text(clinical.mapping(resource.get("meta")).get("lastUpdated"))
