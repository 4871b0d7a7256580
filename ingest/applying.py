"""Changes to a transaction Bundle: what exists is found and merged, what does not is created unless it exists by then.

Spec: https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from ingest.mapping.change import ENSURE, TOUCH, Change, Key
from ingest.merging import Resource, merge, with_source

_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")


class Found:
    """A stored resource: reference, version, body, and whether the reader sees only a part of it."""

    __slots__ = ("body", "partial", "reference", "version")

    def __init__(self, reference: str, version: int, body: bytes, *, partial: bool) -> None:
        """Keep the body as bytes until somebody merges it."""
        self.reference = reference
        self.version = version
        self.body = body
        self.partial = partial


class Finder(Protocol):
    """How stored resources are found."""

    def by_keys(self, type_: str, keys: Sequence[Key]) -> dict[str, Found]:
        """What is stored under some keys of one type, by the keys' `reference`."""
        ...

    def by_query(self, type_: str, query: str) -> Found | None:
        """The one match of a search, or none."""
        ...


class PartiallySeen(Exception):
    """A labelled resource cannot be merged: only its identity may be seen."""


class BundleWriter:
    """Builds the Bundle of one message; made anew for every attempt."""

    def __init__(self, changes: Iterable[Change], finder: Finder, known: Mapping[str, str], latest: Mapping[str, int], event: int) -> None:
        """Plan every change.

        Args:
            changes: What the message wants.
            finder: How stored resources are found; one search per type, because each is audited.
            known: References of directory resources that were seen before, by their keys' `reference`.
            latest: Time of the newest message that was applied, by `change_name`.
            event: Time of this message, microseconds.
        """
        self._changes = {change.key.reference: change for change in changes}
        self._finder = finder
        self._known = known
        self._resolved: dict[str, str] = {}
        self._latest = latest
        self._event = event
        self.entries: list[Resource] = []
        self._found = self._look()
        for change in self._changes.values():
            self._plan(change)

    def bundle(self) -> bytes:
        """The transaction, with every resolved reference in place; decimals keep their digits."""
        entries = {"entry": self._linked(self.entries, self._stored)} if self.entries else {}
        return _encoder.encode({"resourceType": "Bundle", "type": "transaction", **entries})

    def applied(self) -> list[str]:
        """Names of the guarded resources that this message is the newest about."""
        guarded = [change_name(change.key) for change in self._changes.values() if change.guard and change.policy != ENSURE]
        return [name for name in guarded if self._latest.get(name, self._event) <= self._event]

    def _look(self) -> dict[str, Found]:
        wanted: dict[str, list[Key]] = {}
        for change in self._changes.values():
            if change.policy != ENSURE:
                wanted.setdefault(change.key.type, []).append(change.key)
        return {reference: found for type_, keys in wanted.items() for reference, found in self._finder.by_keys(type_, keys).items()}

    def _plan(self, change: Change) -> None:
        if change.policy == ENSURE:
            known = self._known.get(change.key.reference)
            if known is None:
                self._create(change)
            else:
                self._resolved[change.key.reference] = known
            return
        found = self._search(change)
        if found is None:
            if change.policy != TOUCH:
                self._create(change)
            return
        self._resolved[change.key.reference] = found.reference
        self._update(change, found)

    def _search(self, change: Change) -> Found | None:
        found = self._found.get(change.key.reference)
        if found is None and change.other_query:
            patient = next((self._resolve(other.key.reference) for other in self._changes.values() if other.key.type == "Patient"), "")
            if patient and not patient.startswith("urn:"):
                found = self._finder.by_query(change.key.type, change.other_query.replace("{Patient}", patient))
        return found

    def _create(self, change: Change) -> None:
        resource = {**(change.defaults or {}), **change.resource}
        request = {"method": "POST", "url": change.key.type, "ifNoneExist": change.key.query}
        self.entries.append({"fullUrl": change.key.reference, "resource": resource, "request": request})

    def _update(self, change: Change, found: Found) -> None:
        name = change_name(change.key)
        stale = bool(change.guard) and self._latest.get(name, self._event) > self._event
        resource, defaults = self._linked(change.resource, self._resolve), self._linked(change.defaults, self._resolve)
        change = Change(change.key, resource, change.policy, defaults, change.clears, guard=change.guard)
        existing = _decoder.decode(found.body)
        if found.partial:
            if change.policy == TOUCH:
                raise PartiallySeen
            merged = {**change.resource, "id": existing["id"]}
        else:
            merged = merge(existing, change, stale=stale)
        if merged == existing or (found.partial and stale):
            return
        request = {"method": "PUT", "url": found.reference, "ifMatch": f'W/"{found.version}"'}
        self.entries.append({"resource": with_source(merged, change), "request": request})

    def _linked(self, value: Any, target: Callable[[str], str]) -> Any:
        """The value with references to what is stored; those to what this Bundle creates stay as they are."""
        if isinstance(value, dict):
            linked = {name: self._linked(item, target) for name, item in value.items()}
            named = linked.get("reference")
            if isinstance(named, str) and named.startswith("urn:uuid:"):
                linked["reference"] = target(named)
            return linked
        return [self._linked(item, target) for item in value] if isinstance(value, list) else value

    def _stored(self, reference: str) -> str:
        return self._resolved.get(reference, reference)

    def _resolve(self, reference: str) -> str:
        """Reference of a stored resource, looked for if need be; the key's own name if it is not stored yet."""
        if reference not in self._resolved:
            change = self._changes.get(reference)
            found = self._found.get(reference)
            if found is None and change is not None and change.policy == ENSURE:
                found = self._finder.by_keys(change.key.type, [change.key]).get(reference)
            if found is None:
                return reference
            self._resolved[reference] = found.reference
        return self._resolved[reference]


def change_name(key: Key) -> str:
    """Name under which the time of the newest message about a resource is kept."""
    return "|".join(key)
