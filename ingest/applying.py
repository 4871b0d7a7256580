"""Changes to a transaction Bundle: what exists is found and merged, what does not is created unless it exists by then.

Spec: https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Protocol, cast

import msgspec

from ingest.hl7v2.problem import Problem
from ingest.mapping.change import ENSURE, TOUCH, Change, Key
from ingest.mapping.observation_panel import into_panel
from ingest.mapping.result_state import FINAL, Statement, is_finished, less_finished, rank_event
from ingest.merging import Resource, merge, with_source
from ingest.superseding import Standing, remembered_names, replaced, standing

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

    def by_keys(self, wanted: Mapping[str, Sequence[Key]]) -> dict[str, Found]:
        """What is stored under some keys of some types, by the keys' `reference`."""
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
            latest: What is remembered of the messages before, by `remembered`.
            event: Time of this message, microseconds.
        """
        self._changes = {change.key.reference: change for change in changes}
        self._finder = finder
        self._known = known
        self._resolved: dict[str, str] = {}
        self._latest = latest
        self._event = event
        self._ensured: set[str] = set()
        self._standings = {reference: self._stand(change, change.statement) for reference, change in self._changes.items() if change.statement}
        self.entries: list[Resource] = []
        self.problems: list[Problem] = []
        self._found = self._look()
        for change in self._changes.values():
            self._plan(change)

    def bundle(self) -> bytes:
        """The transaction, with every resolved reference in place; decimals keep their digits."""
        entries = {"entry": self._linked(self.entries, self._stored)} if self.entries else {}
        return _encoder.encode({"resourceType": "Bundle", "type": "transaction", **entries})

    def applied(self) -> dict[str, int]:
        """What is to be remembered of this message: its time for the resources that it is the newest about, its rank for results."""
        guarded = [change_name(change.key) for change in self._changes.values() if change.guard and change.policy != ENSURE]
        times = {name: self._event for name in guarded if self._latest.get(name, self._event) <= self._event}
        for each in self._standings.values():
            times |= each.advances
        return times

    def _stand(self, change: Change, statement: Statement) -> Standing:
        return standing(statement, change_name(change.key), self._latest, self._event)

    def _look(self) -> dict[str, Found]:
        wanted: dict[str, list[Key]] = {}
        for change in self._changes.values():
            if change.policy != ENSURE or change.key.type == "Patient":  # of a merged Patient the survivor is meant
                wanted.setdefault(change.key.type, []).append(change.key)
            if change.part_of is not None:
                wanted[change.part_of.type].append(change.part_of)
        return self._finder.by_keys(wanted)

    def _plan(self, change: Change) -> None:
        if change.policy == ENSURE:
            stored = self._found.get(change.key.reference)
            known = stored.reference if stored is not None else self._known.get(change.key.reference)
            if known is None:
                self._create(change)
            else:
                self._resolved[change.key.reference] = known
            return
        found = self._search(change)
        panel = self._found.get(change.part_of.reference) if change.part_of is not None else None
        if found is None and panel is not None and not panel.partial:
            change, found = self._as_part(change, panel), panel
        if found is not None:
            self._resolved[change.key.reference] = found.reference
        if change.statement is not None:
            self._plan_result(change, change.statement, self._standings[change.key.reference], found)
        elif found is not None:
            self._update(change, found)
        elif change.policy != TOUCH:
            self._create(change)

    def _as_part(self, half: Change, found: Found) -> Change:
        """The change that a half which came alone makes of its stored panel; what refers to the half refers to the panel."""
        key, statement = cast("Key", half.part_of), cast("Statement", half.statement)
        self._resolved[half.key.reference] = found.reference
        del self._standings[half.key.reference]
        panel = _decoder.decode(found.body)
        newer = self._event > rank_event(self._latest.get(change_name(key), 0))
        whole = into_panel(panel, self._linked(half.resource, self._resolve), withdrawn=statement.wipes)
        if statement.wipes and whole["component"]:
            statement = statement._replace(status="corrected" if newer else FINAL, content=True, wipes=False)
        if not is_finished(panel["status"]):
            statement = statement._replace(status=less_finished(panel["status"], statement.status))
        resource = {**whole, "status": statement.status, "meta": half.resource["meta"]}
        del resource["id"]
        change = replace(half, key=key, resource=resource, statement=statement)
        self._standings[key.reference] = self._stand(change, statement)
        return change

    def _plan_result(self, change: Change, statement: Statement, stands: Standing, found: Found | None) -> None:
        if stands.refused:
            self.problems.append(statement.problem("a finished result is not taken back by a less finished one: left as it was"))
        if found is not None:
            self._update_result(change, statement, stands, found)
        elif statement.content:
            self._create(replace(change, resource={**change.resource, "status": stands.status}))
        else:
            self.problems.append(statement.problem("the result that this is about is not known here"))

    def _update_result(self, change: Change, statement: Statement, stands: Standing, found: Found) -> None:
        existing = _decoder.decode(found.body)
        change = replace(change, resource=self._linked(change.resource, self._resolve))
        if found.partial:
            existing.pop("meta", None)
            unread = replaced(existing, change, stands) != existing
            if unread and not statement.content and not statement.wipes:
                raise PartiallySeen
            if unread and not (stands.takes_content or statement.wipes):
                self.problems.append(statement.problem("an older statement adds to a labelled result of which only the identity may be seen: left out"))
                return
            stands = stands._replace(takes_content=stands.takes_content or unread)
        merged = replaced(existing, change, stands)
        self._put(change, found, existing, merged)

    def _put(self, change: Change, found: Found, existing: Resource, merged: Resource) -> None:
        if merged == existing:
            return
        request = {"method": "PUT", "url": found.reference, "ifMatch": f'W/"{found.version}"'}
        self.entries.append({"resource": with_source(merged, change), "request": request})

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
        if not (found.partial and stale):
            self._put(change, found, existing, merged)

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
            if reference not in self._found and change is not None and change.policy == ENSURE:
                self._look_for_ensured(change.key.type)
            found = self._found.get(reference)
            if found is None:
                return reference
            self._resolved[reference] = found.reference
        return self._resolved[reference]

    def _look_for_ensured(self, type_: str) -> None:
        """Look for everything of a type that is only referred to, once: each search is an audit record."""
        if type_ not in self._ensured:
            self._ensured.add(type_)
            keys = [change.key for change in self._changes.values() if change.policy == ENSURE and change.key.type == type_]
            self._found |= self._finder.by_keys({type_: [key for key in keys if key.reference not in self._resolved]})


def remembered(changes: Iterable[Change]) -> list[str]:
    """Names of what must be remembered of earlier messages to apply these changes."""
    names: list[str] = []
    for change in changes:
        name = change_name(change.key)
        if change.part_of is not None:
            names += remembered_names(change_name(change.part_of))
        names += remembered_names(name) if change.statement is not None else [name] if change.guard else []
    return names


def change_name(key: Key) -> str:
    """Name under which the time of the newest message about a resource is kept."""
    return "|".join(key)
