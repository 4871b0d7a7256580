"""Stored resources by their business identifiers, through the repository."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.errors import Invalid
from fhir_server.repository import Repository, Stored
from ingest.applying import Found
from ingest.mapping.change import Key

_KEYS_AT_ONCE = 500


class RepositoryFinder:
    """Searches under one scope; every search is one audit record, so keys of a type are looked for together, and one wait is for all records."""

    def __init__(self, repository: Repository, scope: Scope) -> None:
        """Search `repository` as the subject of `scope`."""
        self._repository = repository
        self._scope = Scope(scope.subject, "search", scope.request)

    def by_keys(self, wanted: Mapping[str, Sequence[Key]]) -> dict[str, Found]:
        """What is stored under some keys of some types, by the keys' `reference`."""
        parts = [(type_, keys[start : start + _KEYS_AT_ONCE]) for type_, keys in wanted.items() for start in range(0, len(keys), _KEYS_AT_ONCE)]
        pages = self._repository.searches(self._scope, [(type_, _query(keys)) for type_, keys in parts])
        found: dict[str, Found] = {}
        for (type_, keys), page in zip(parts, pages, strict=True):
            following = self._repository.all(self._scope, type_, page.next) if page.next else ()
            found |= self._named(type_, keys, chain(page.entries, following))
        return found

    def _named(self, type_: str, keys: Sequence[Key], matches: Iterable[Stored]) -> dict[str, Found]:
        """What was found for each key."""
        names = {(key.system, key.value): key.reference for key in keys}
        found: dict[str, Found] = {}
        for stored in matches:
            holder = _found(self._survivor(stored) if type_ == "Patient" else stored)
            for name in _identifiers(stored) & names.keys():
                if found.setdefault(names[name], holder).reference != holder.reference:
                    raise _several(type_)
        return found

    def _survivor(self, stored: Stored) -> Stored:
        """The Patient that a record was merged into, along a chain; itself where it was not, or where nobody is at its end."""
        seen: set[str] = set()
        while (next_ := _replaced_by(stored)) and next_ not in seen:
            seen.add(next_)
            others = list(self._repository.all(self._scope, "Patient", f"_id={next_}"))
            if not others:
                break
            stored = others[0]
        return stored

    def by_query(self, type_: str, query: str) -> Found | None:
        """The one match of a search, or none."""
        entries = self._repository.search(self._scope, type_, f"{query}&_count=2").entries
        if len(entries) > 1:
            raise _several(type_)
        return _found(entries[0]) if entries else None


def _query(keys: Sequence[Key]) -> str:
    return f"identifier={','.join(key.token for key in keys)}&_count={min(2 * len(keys), 1000)}"


def _found(stored: Stored) -> Found:
    return Found(f"{stored.type}/{stored.id}", stored.version, stored.body, partial=stored.redacted)


def _replaced_by(stored: Stored) -> str:
    """Id of the Patient that stands in for this one; empty where none does."""
    links = (link for link in stored.json().get("link", []) if link.get("type") == "replaced-by")
    reference = next((str(link.get("other", {}).get("reference", "")) for link in links), "").partition("/_history/")[0]
    return reference.rpartition("/")[2] if reference.rpartition("/")[0].endswith("Patient") else ""


def _identifiers(stored: Stored) -> set[tuple[str, str]]:
    resource = stored.json()
    given = [*resource.get("identifier", []), *([resource["masterIdentifier"]] if "masterIdentifier" in resource else [])]
    return {(item.get("system", ""), item.get("value", "")) for item in given}


def _several(type_: str) -> Invalid:
    return Invalid("An identifier that should be unique has several matches.", code="multiple-matches", expression=type_)
