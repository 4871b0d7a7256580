"""A page in the order of values that the index holds as hashes: tokens, references, uris.

Codes of many matches are read off the vocabulary. Other values are read out of the bodies of all matches, some thousand at a time:
that needs little memory, and time for each match.
Spec: https://hl7.org/fhir/R4/search.html#sort
"""

from __future__ import annotations

from array import array
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
from fhir_server.indexing.words import whole_word
from fhir_server.rows import CHUNK, version_place
from fhir_server.search import planner
from fhir_server.search.by_words import WITH_CODE, WITHOUT, in_order_of_codes
from fhir_server.search.cursor import Position
from fhir_server.search.ordering import missing
from fhir_server.search.params import leaves_of
from fhir_server.search.planner import fewest, plan
from fhir_server.search.streams import Found, ordered
from fhir_server.search.tree import ID, LAST_UPDATED, Query, SortKey
from fhir_server.store import Store
from fhir_server.type_ids import TYPE_NAMES

MAX_VALUED: Final = 10_000
"""Most resources whose values are in memory at a time."""
MAX_READ: Final = 1_000_000
"""Most resources that are ordered by reading them: about half a minute."""

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
        Invalid: There are more than MAX_READ, or the position is none of this order.
    """
    if _by_codes(session, store, scope, parts, start):
        return _coded(session, store, scope, parts[0], start, limit)
    rids = _matches(session, store, scope, parts, start.snapshot)
    directions = [False, *(key.descending for key in parts[0].sort), False] if parts else [False, False]
    place = tuple(start.after)
    if place and len(place) != len(directions):
        raise Invalid("This page link was changed, or belongs to another query.")
    sorts = {part.type: part.sort for part in parts}
    kept: list[Found] = []
    for begin in range(0, len(rids), MAX_VALUED):
        candidates = _candidates(session, store, rids[begin : begin + MAX_VALUED])
        rows = [(0, *_keys(store, each, sorts[each.type]), each.rid) for each in candidates]
        kept = _next(kept, [row for row in rows if row != place], place, directions, back=start.back)[:limit]
    return kept


def _next(kept: Sequence[Found], more: Sequence[Found], place: Found, directions: Sequence[bool], *, back: bool) -> list[Found]:
    """Put rows among those that were kept, and leave out what is on the other side of a place; the nearest first."""
    together = ordered([*kept, *more, *([place] if place else [])], directions)
    here = together.index(place) if place else -1
    return together[:here][::-1] if back else together[here + 1 :]


def _by_codes(session: Session, store: Store, scope: Scope, parts: Sequence[Query], start: Position) -> bool:
    """Whether codes are read off in their order: one type, one parameter of codes, and nothing that leaves only a few; as the first page was."""
    if len(parts) != 1 or len(parts[0].sort) != 1 or not parts[0].sort[0].param.coded or not store.vocabulary.complete(session):
        return False
    if start.after:
        return start.after[0] in (WITH_CODE, WITHOUT)
    few = min(planner.FEW, planner.ESTIMATE_LIMIT)
    return fewest(session, parts[0], store.access.row_filter(scope, parts[0].type), few) >= few


def _coded(session: Session, store: Store, scope: Scope, query: Query, start: Position, limit: int) -> list[Found]:
    number = query.sort[0].param.id

    def codes(rids: Sequence[int]) -> dict[int, set[str]]:
        rows = ((each.rid, _extracted(store, each, frozenset({number}))[_PLACES["token"]]) for each in _candidates(session, store, rids))
        return {rid: {whole_word(str(row[2])) for row in found if row[0] == number and row[2]} for rid, found in rows}

    return in_order_of_codes(session, query, store.access.row_filter(scope, query.type), codes, start, limit)


def _matches(session: Session, store: Store, scope: Scope, parts: Sequence[Query], snapshot: int) -> array[int]:
    """List the rids of all matches, eight bytes each."""
    rids: set[int] = set()
    for part in parts:
        planned = plan(session, replace(part, sort=[]), store.access.row_filter(scope, part.type), whole=True, counted=True)
        sql, params = planned.rids()
        rids.update(int(row[0]) for row in session.each(f"{sql} LIMIT {MAX_READ + 1}", params))
        if len(rids) > MAX_READ:
            text = f"More than {MAX_READ} resources match, too many to sort by {' and '.join(_slow(part))}; narrow the search."
            raise Invalid(text, code="too-costly", expression="http._sort")
    return array("q", sorted(rid for rid in rids if rid & SEQUENCE_MASK <= snapshot))


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
    rows = _extracted(store, candidate, frozenset(key.param.id for key in sort if key.param.id > 0))
    for key in sort:
        if key.param is ID:
            yield candidate.id
        elif key.param is LAST_UPDATED:
            yield candidate.updated
        else:
            values = [_value(key.param.type, row) for row in rows[_PLACES[key.param.type]] if row[0] == key.param.id]
            best = max if key.descending else min
            yield best(values) if values else missing(key.param.type, descending=key.descending)


def _extracted(store: Store, candidate: _Candidate, params: frozenset[int]) -> list[list[tuple[Any, ...]]]:
    rows: list[list[tuple[Any, ...]]] = [[] for _ in LISTS]
    _extractor(candidate.type, params)(msgspec.json.decode(candidate.body), *rows, store.base)
    return rows


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
