"""$everything of a patient or an encounter: its compartment, and then what the resources in it refer to.

A page is filled in the order of the rids: the resource itself, its compartment, then what is referred to, each once. A
reference out of the compartment is followed one step, as the reader sees it, and never into the chart of another patient.

Spec: https://hl7.org/fhir/R4/operation-patient-everything.html, https://hl7.org/fhir/R4/operation-encounter-everything.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlencode

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Session
from chartloop.kernel.errors import Invalid
from fhir_server.auditing import record, refusals_audited
from fhir_server.compartment_rows import NO_CONDITION, Compartment, care_dates, compartment
from fhir_server.operations.everything_query import EverythingQuery, parse_everything
from fhir_server.operations.referred import Target, referred, targets_in
from fhir_server.rows import Row, by_rids, current, living
from fhir_server.search.conditions import Condition
from fhir_server.search.cursor import Position, seal, unseal
from fhir_server.search.query import CURSOR
from fhir_server.snapshot import last_number
from fhir_server.store import Page, Store, Stored, acting, require
from fhir_server.type_ids import TYPE_IDS
from fhir_server.visible import all_visible

_INSIDE: Final = 0
_REFERRED: Final = 1
_PART: Final = 500

Shown = list[tuple[Row, Stored]]


class _Asked(NamedTuple):
    focus: Row
    query: EverythingQuery
    inside: Compartment | None
    narrowed: Condition
    snapshot: int


def everything(store: Store, scope: Scope, type_: str, id_: str, query: str) -> Page:
    """Return one page, after the audit record that lists what is on it and the patients concerned is durable.

    Args:
        store: The store.
        scope: Who asks.
        type_: Patient or Encounter.
        id_: Its id; empty for the patient in context.
        query: Query string: `_since`, `_type`, `_count`, and for a patient `start` and `end`.
    """
    searching, operating = acting(scope, "search"), acting(scope, "operation")
    id_ = id_ or _in_context(type_, scope)
    place = f"{type_}/{id_}/$everything"
    with refusals_audited(store, operating, place, query):
        require(store, acting(scope, "read"), type_)
        asked = parse_everything(type_, query)
        bound = f"{place}?{asked.said}"
        start = unseal(store.secret, scope.subject, bound, asked.cursor) if asked.cursor else None
        with store.db.read(snapshot=True) as session:
            focus = _focus(session, store, scope, type_, id_)
            snapshot = start.snapshot if start else last_number(session)
            care = care_dates(store, searching, asked.start, asked.end)
            inside = compartment(store, searching, focus.reference, focus.rid, care)
            found = _Asked(focus, asked, inside, _narrowed(asked), snapshot)
            matches, others, position = _page(session, store, searching, found, start)
    rows = [row for row, _ in (*matches, *others)]
    targets = [f"{row.reference}/_history/{row.version}" for row in rows]
    store.audit.access(record(operating, targets or [place], {focus.patient, *(row.patient for row in rows)}, query=f"{place}?{query}"))
    link = None
    if position is not None:
        cursor = seal(store.secret, scope.subject, bound, position)
        link = "&".join(part for part in (asked.said, urlencode([(CURSOR, cursor)])) if part)
    return Page(tuple(stored for _, stored in matches), tuple(stored for _, stored in others), None, link, asked.said)


def _in_context(type_: str, scope: Scope) -> str:
    if type_ == "Patient" and scope.subject.patient:
        return scope.subject.patient.removeprefix("Patient/")
    raise Invalid("Name the resource: there is no patient in context.", code="not-supported")


def _focus(session: Session, store: Store, scope: Scope, type_: str, id_: str) -> Row:
    return living(current(session, type_, id_, store.access.row_filter(acting(scope, "read"), type_)))


def _narrowed(query: EverythingQuery) -> Condition:
    """Write `_type` and `_since`."""
    types = f"r.type_id IN ({', '.join(str(TYPE_IDS[each]) for each in query.types)})" if query.types else "1=1"
    since = "r.updated >= ?" if query.since is not None else "1=1"
    return Condition(f"{types} AND {since}", () if query.since is None else (query.since,))


def _page(session: Session, store: Store, scope: Scope, asked: _Asked, start: Position | None) -> tuple[Shown, Shown, Position | None]:
    """Fill a page: what matches, what it refers to, and where the next one begins."""
    phase, after = (int(str(each)) for each in start.after) if start else (_INSIDE, 0)
    matches = _shown(store, scope, [asked.focus]) if start is None and _wanted(asked) else []
    room = asked.query.count
    if phase == _INSIDE:
        rids = asked.inside.page(session, asked.narrowed, after, asked.snapshot, room - len(matches) + 1) if asked.inside else []
        more, rids = len(rids) > room - len(matches), rids[: room - len(matches)]
        matches += _shown(store, scope, _rows(session, rids))
        if more:
            return matches, [], Position((_INSIDE, rids[-1] if rids else after), asked.snapshot)
        after = 0
    whole = matches if start is None and not asked.query.types and asked.query.since is None else None
    others = _others(session, store, scope, asked, whole)
    rest = [rid for rid in others if rid > after]
    on_page = rest[: room - len(matches)]
    position = None
    if len(rest) > len(on_page):
        position = Position((_REFERRED, on_page[-1] if on_page else after), asked.snapshot)
    return matches, _shown(store, scope, _rows(session, on_page)), position


def _wanted(asked: _Asked) -> bool:
    query, focus = asked.query, asked.focus
    return (not query.types or focus.type in query.types) and (query.since is None or focus.updated >= query.since)


def _others(session: Session, store: Store, scope: Scope, asked: _Asked, whole: Shown | None) -> list[int]:
    """Find what the compartment refers to: from the page where it holds all of it, else by reading through all of it."""
    known: set[Target] = set()
    targets: set[Target] = set()
    for part in _parts(session, store, scope, asked) if whole is None else (whole,):
        known.update((row.type, row.id) for row, _ in part)
        targets |= targets_in(store, (stored for _, stored in part))
    return referred(session, store, scope, targets - known, asked.focus.patient, asked.narrowed, asked.snapshot)


def _parts(session: Session, store: Store, scope: Scope, asked: _Asked) -> Iterator[Shown]:
    """Read through the compartment, whatever its size, a part at a time."""
    yield _shown(store, scope, [asked.focus])
    after, rids = 0, [0] * _PART
    while asked.inside is not None and len(rids) == _PART:
        rids = asked.inside.page(session, NO_CONDITION, after, asked.snapshot, _PART)
        after = rids[-1] if rids else after
        yield _shown(store, scope, _rows(session, rids))


def _rows(session: Session, rids: Sequence[int]) -> list[Row]:
    found = by_rids(session, rids)
    return [found[rid] for rid in rids if rid in found]


def _shown(store: Store, scope: Scope, rows: Sequence[Row]) -> Shown:
    return list(zip(rows, all_visible(store, scope, rows), strict=True))
