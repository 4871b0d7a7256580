"""What a message makes of a resource that is already stored; pure."""

from __future__ import annotations

from typing import Any

from ingest.mapping.change import Change

Resource = dict[str, Any]

_FINAL = frozenset({"finished", "cancelled", "entered-in-error"})
_BY_USE = frozenset({"name", "telecom", "address"})
_WHOLE = frozenset({"identifier", "participant", *_BY_USE})
_CHOICES = ({"deceasedBoolean", "deceasedDateTime"},)
_SERVER_META = frozenset({"versionId", "lastUpdated"})


def merge(existing: Resource, change: Change, *, stale: bool) -> Resource:
    """The stored resource with what the message says about it.

    Elements that the message does not carry stay; lists of names, numbers and addresses are replaced use by use, participants role by
    role, identifiers are united. A message older than the last one applied (`stale`) adds what is absent, or nothing, as the change says.
    """
    if stale and change.guard == "skip":
        return existing
    result = dict(existing)
    if not stale:
        for cleared in change.clears:
            _clear(result, cleared)
    for name, value in {**(change.defaults or {}), **change.resource}.items():
        if name in ("resourceType", "meta"):
            continue
        only_absent = stale or (name in (change.defaults or {}) and name not in change.resource)
        if only_absent:
            _fill(result, name, value)
        elif not (name == "status" and change.key.type == "Encounter" and existing.get("status") in _FINAL):
            _set(result, name, value)
    return result


def with_source(resource: Resource, change: Change) -> Resource:
    """The resource with the origin of its newest version."""
    meta = {name: value for name, value in resource.get("meta", {}).items() if name not in _SERVER_META}
    return {**resource, "meta": {**meta, **change.resource.get("meta", {})}}


def _clear(result: Resource, cleared: str) -> None:
    name, _, use = cleared.partition(".")
    left = [item for item in result.get(name, []) if item.get("use") != use] if use else []
    if left:
        result[name] = left
    else:
        result.pop(name, None)


def _fill(result: Resource, name: str, value: Any) -> None:
    if isinstance(value, dict) and isinstance(result.get(name), dict) and name == "period":
        result[name] = {**value, **result[name]}
    elif name == "identifier":
        _set(result, name, value)
    else:
        result.setdefault(name, value)


def _set(result: Resource, name: str, value: Any) -> None:
    for choice in _CHOICES:
        if name in choice:
            for other in choice - {name}:
                result.pop(other, None)
    stored = result.get(name)
    if not stored or not (name in _WHOLE or (name in ("period", "hospitalization") and isinstance(stored, dict))):
        result[name] = value
    elif name == "identifier":
        result[name] = _united(stored, value)
    elif name == "participant":
        result[name] = _replaced(stored, value, _roles)
    elif name in _BY_USE:
        result[name] = _replaced(stored, value, lambda item: item.get("use", "")) if all(item.get("use") for item in value) else value
    else:
        result[name] = {**stored, **value}


def _united(stored: list[Resource], new: list[Resource]) -> list[Resource]:
    known = {(item.get("system"), item.get("value")) for item in stored}
    return stored + [item for item in new if (item.get("system"), item.get("value")) not in known]


def _replaced(stored: list[Resource], new: list[Resource], kind: Any) -> list[Resource]:
    """The new items first, then the stored ones of kinds that the message does not speak of."""
    kinds = [kind(item) for item in new]
    return new + [item for item in stored if kind(item) not in kinds]


def _roles(participant: Resource) -> set[str]:
    return {coding.get("code", "") for kind in participant.get("type", []) for coding in kind.get("coding", [])}
