"""A page in the order of values that the index holds as hashes: tokens, references, uris.

The values are read out of the bodies of all matches, so there is a limit to their number.
Spec: https://hl7.org/fhir/R4/search.html#sort
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Final, NamedTuple

import msgspec

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Session
from chartloop.kernel.errors import Invalid
from fhir_server.hashing import SEQUENCE_MASK
from fhir_server.indexing.compiler import LISTS, Extractor, compile_extractor
from fhir_server.indexing.composite_rows import STRING_LENGTH
from fhir_server.rows import CHUNK, version_place
from fhir_server.search.cursor import Position
from fhir_server.search.ordering import missing
from fhir_server.search.params import leaves_of
from fhir_server.search.planner import plan
from fhir_server.search.streams import Found, ordered
from fhir_server.search.tree import ID, LAST_UPDATED, Query, SortKey
from fhir_server.store import Store
from fhir_server.type_ids import TYPE_NAMES

MAX_VALUED: Final = 10_000
"""Most resources that are ordered by reading them."""

_SQL: Final = (
    "SELECT r.rid, r.type_id, r.fhir_id, r.updated, v.codec, v.dict_id, v.body, v.version FROM resource r CROSS JOIN version v "
    "WHERE v.rid = r.rid AND v.version = r.version AND r.rid IN ({marks})"
)
_PLACES: Final = {kind: place for place, kind in enumerate(LISTS)}


class _Candidate(NamedTuple):
    rid: int
    type: str
    id: str
    updated: int
    body: bytes


def valued(session: Session, store: Store, scope: Scope, parts: Sequence[Query], start: Position, limit: int) -> list[Found]:
    """Find the next matches, in order; those before a position that says so, the nearest first.

    Raises:
        Invalid: There are more than MAX_VALUED, or the position is none of this order.
    """
    rids = _matches(session, store, scope, parts, start.snapshot)
    sorts = {part.type: part.sort for part in parts}
    rows = [(0, *_keys(store, each, sorts[each.type]), each.rid) for each in _candidates(session, store, rids)]
    directions = [key.descending for key in parts[0].sort] if parts else []
    if not start.after:
        return ordered(rows, [False, *directions, False])[:limit]
    if len(start.after) != len(directions) + 2:
        raise Invalid("This page link was changed, or belongs to another query.")
    place = tuple(start.after)
    together = ordered([place, *(row for row in rows if row != place)], [False, *directions, False])
    here = together.index(place)
    return together[:here][::-1][:limit] if start.back else together[here + 1 :][:limit]


def _matches(session: Session, store: Store, scope: Scope, parts: Sequence[Query], snapshot: int) -> list[int]:
    rids: dict[int, None] = {}
    for part in parts:
        planned = plan(session, replace(part, sort=[]), store.access.row_filter(scope, part.type), whole=True)
        sql, params = planned.everything(MAX_VALUED + 1)
        rids.update((int(row[1]), None) for row in session.all(sql, params))
        if len(rids) > MAX_VALUED:
            text = f"More than {MAX_VALUED} resources match, too many to sort by {' and '.join(_slow(part))}; narrow the search."
            raise Invalid(text, code="too-costly", expression="http._sort")
    return [rid for rid in rids if rid & SEQUENCE_MASK <= snapshot]


def _slow(query: Query) -> list[str]:
    return [key.param.code for key in query.sort if key.param.type in ("token", "reference", "uri") and key.param is not ID]


def _candidates(session: Session, store: Store, rids: Sequence[int]) -> Iterator[_Candidate]:
    for begin in range(0, len(rids), CHUNK):
        part = rids[begin : begin + CHUNK]
        for rid, type_id, id_, updated, codec, dict_id, packed, version in session.all(_SQL.format(marks=", ".join("?" * len(part))), part):
            type_ = TYPE_NAMES[type_id]
            body = store.codec.unpack(codec, dict_id, bytes(packed), version_place(type_, id_, version))
            yield _Candidate(int(rid), type_, str(id_), int(updated), body)


def _keys(store: Store, candidate: _Candidate, sort: Sequence[SortKey]) -> Iterator[object]:
    ids = frozenset(key.param.id for key in sort if key.param.id > 0)
    rows: list[list[tuple[Any, ...]]] = [[] for _ in LISTS]
    _extractor(candidate.type, ids)(msgspec.json.decode(candidate.body), *rows, store.base)
    for key in sort:
        if key.param is ID:
            yield candidate.id
        elif key.param is LAST_UPDATED:
            yield candidate.updated
        else:
            values = [_value(key.param.type, row) for row in rows[_PLACES[key.param.type]] if row[0] == key.param.id]
            best = max if key.descending else min
            yield best(values) if values else missing(key.param.type, descending=key.descending)


def _value(kind: str, row: tuple[Any, ...]) -> Any:
    """Return what a row of extracted values is ordered by: codes and identifiers without their system, addresses as they are."""
    if kind == "token":
        return str(row[2])[:STRING_LENGTH]
    if kind == "reference":
        return f"{row[1]}/{row[2]}" if row[2] else str(row[3])[:STRING_LENGTH]
    if kind in ("string", "uri"):
        return str(row[1])[:STRING_LENGTH]
    return row[3] if kind == "quantity" else row[1]


@cache
def _extractor(type_: str, params: frozenset[int]) -> Extractor:
    return compile_extractor(f"orders_{type_}", [leaf for leaf in leaves_of(type_) if leaf.param in params])
