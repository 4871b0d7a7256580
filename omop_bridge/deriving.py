"""From resources to rows with ids: what each resource gives under what is known of the others, and what others must know of it."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from chartloop.kernel.db import Tx
from omop_bridge.facts import UNKNOWN, Facts, code_fact, merged_fact, person_fact, site_fact, to_reference, visit_fact
from omop_bridge.lineage import Kept, Known, Reference, allocate, rows_of
from omop_bridge.mapping.coding import Coder
from omop_bridge.mapping.person import MERGED
from omop_bridge.mapping.references import Links, links, local
from omop_bridge.mapping.resource import WITHOUT_PERSON, resource_to_rows
from omop_bridge.mapping.rows import Context, Excluded, Mapped, Profile, Row, excluded

NO_PERSON: Final = "no-person"
UNMAPPABLE: Final = "unmappable"
_log = logging.getLogger(__name__)


class Seen(NamedTuple):
    """A resource as it was read; None where this reader sees none (deleted, labelled, never there)."""

    reference: Reference
    version: int
    resource: Mapping[str, Any] | None


class Written(NamedTuple):
    """A row that is to be written."""

    table: str
    row_id: int
    person_id: int | None
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Derived:
    """What some resources give.

    Attributes:
        kept: What is to be known of those that are there.
        gone: Those that are not.
        rows: All their rows.
        known: The rows that they had before, with those that were given ids just now.
        new: Those that were given ids just now.
        before: What was known of each before.
    """

    kept: list[Kept]
    gone: list[Reference]
    rows: list[Written]
    known: dict[Reference, list[Known]]
    new: list[tuple[Reference, Known]]
    before: dict[Reference, str]


class _One(NamedTuple):
    seen: Seen
    person: int | None
    named: Links
    mapped: Mapped


class Deriver:
    """Maps resources with one vocabulary and one profile."""

    def __init__(self, coder: Coder, profile: Profile) -> None:
        """Take how a site maps."""
        self._coder, self._profile = coder, profile
        self.release = coder.concepts.release

    def derive(self, tx: Tx, seen: Sequence[Seen], found: Mapping[Reference, str]) -> Derived:
        """Map resources, and give every row its id.

        Args:
            tx: The lineage, for ids.
            seen: The resources; none twice.
            found: What this pass has found of others, over what the lineage knows.
        """
        facts = Facts(tx, found)
        there = [(each, links(each.resource)) for each in seen if each.resource is not None]
        facts.load([to_reference(name) for _, named in there for name in named if name] + [each.reference for each in seen])
        mapped = [self._map(each, named, facts) for each, named in there]
        known = rows_of(tx, [each.reference for each in seen])
        before = {each.reference: facts[each.reference] for each in seen}
        new = _identify(tx, mapped, known)
        for reference, row in new:
            known.setdefault(reference, []).append(row)
        result = Derived([], [each.reference for each in seen if each.resource is None], [], known, new, before)
        for one in mapped:
            _add(result, one, {(row.key, row.table): row for row in known.get(one.seen.reference, ())})
        return result

    def _map(self, seen: Seen, named: Links, facts: Facts) -> _One:
        resource = seen.resource or {}
        if seen.reference.type in WITHOUT_PERSON:
            return _One(seen, None, named, _total(resource, Context(self._coder, self._profile)))
        person = facts.person(named.person)
        if person is None:
            return _One(seen, None, named, excluded(NO_PERSON))
        visit, site = facts.visit(named.encounter, person), facts.care_site(named.care_site)
        context = Context(self._coder, self._profile, visit, site, lambda reference: facts.medication(local(reference, "Medication")))
        return _One(seen, person, named, _total(resource, context))


def _total(resource: Mapping[str, Any], context: Context) -> Mapped:
    """One resource that the mapping stumbles over stops neither a rebuild nor its patient: it is counted, and the log has the kind of error."""
    try:
        return resource_to_rows(resource, context)
    except Exception as error:
        # Only the kinds: the text of an error may quote a patient.
        told = {"action": "omop.unmapped", "type": resource.get("resourceType"), "kind": type(error).__name__}
        _log.warning("A resource could not be mapped.", extra=told)
        return excluded(UNMAPPABLE)


def _identify(tx: Tx, mapped: Sequence[_One], known: Mapping[Reference, Sequence[Known]]) -> list[tuple[Reference, Known]]:
    """Give ids to the rows that have none."""
    wanted: dict[str, list[tuple[_One, Row]]] = defaultdict(list)
    for one in mapped:
        if one.mapped.rows:
            have = {(row.key, row.table) for row in known.get(one.seen.reference, ())}
            for row in one.mapped.rows:
                if (row.key, row.table) not in have:
                    wanted[row.table].append((one, row))
    deaths = wanted.pop("death", [])
    new = []
    for table, rows in wanted.items():
        first = allocate(tx, table, len(rows))
        new += [(one.seen.reference, Known(row.key, table, first + n, None, one.seen.version, live=False)) for n, (one, row) in enumerate(rows)]
    persons = {reference: row.row_id for reference, row in new if row.table == "person"}
    for one, row in deaths:  # a death has its person's id
        reference = one.seen.reference
        person = persons.get(reference) or next(each.row_id for each in known[reference] if each.table == "person")
        new.append((reference, Known(row.key, "death", person, None, one.seen.version, live=False)))
    return new


def _add(result: Derived, one: _One, ids: Mapping[tuple[str, str], Known]) -> None:
    reference, version = one.seen.reference, one.seen.version
    own = ids.get(("person", "person"))
    person = own.row_id if own and reference.type == "Patient" else one.person
    rows: list[Known] = []
    for row in one.mapped.rows:
        row_id = ids[row.key, row.table].row_id
        rows.append(Known(row.key, row.table, row_id, None if row.table == "care_site" else person, version, live=True))
        result.rows.append(Written(row.table, row_id, rows[-1].person_id, row.values))
    depends = frozenset(to_reference(name) for name in one.named if name)
    left = tuple(dict(_pair(each) for each in one.mapped.excluded).items())
    result.kept.append(Kept(reference, version, _fact(one, rows), depends, left, tuple(rows)))


def _pair(left: Excluded) -> tuple[str, str]:
    return left.key, left.reason


def _fact(one: _One, rows: Sequence[Known]) -> str:
    """What others must know of a resource."""
    type_ = one.seen.reference.type
    if type_ == "Medication":
        return code_fact((one.seen.resource or {}).get("code"))
    if type_ == "Patient" and one.named.person and any(each.reason == MERGED for each in one.mapped.excluded):
        return merged_fact(one.named.person)
    first = rows[0] if rows else None
    if first is None or type_ not in ("Patient", "Encounter", "Organization"):
        return UNKNOWN
    if type_ == "Organization":
        return site_fact(first.row_id)
    return person_fact(first.row_id) if type_ == "Patient" else visit_fact(first.row_id, first.person_id or 0)
