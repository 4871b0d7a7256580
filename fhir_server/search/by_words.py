"""A page in the order of codes, of more matches than are read: the vocabulary has the codes in order, the index the resources of each.

A resource stands where its first code in the order stands, newest first among those of the same code; what has no code follows.
Pages of one search stay with the way it began.
Spec: https://hl7.org/fhir/R4/search.html#sort
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from chartloop.kernel.access.rows import RowFilter
from chartloop.kernel.db import Session
from fhir_server.indexing.words import CODE
from fhir_server.search.cursor import Position
from fhir_server.search.params import SearchParam
from fhir_server.search.planner import plan
from fhir_server.search.streams import Found, Stream, merged, rid_of
from fhir_server.search.tree import Criterion, Query
from fhir_server.search.values import Hashes

WITH_CODE: Final = 20
WITHOUT: Final = 21
_WORDS: Final = 500
_FIRST: Final = 64

Codes = Callable[[Sequence[int]], dict[int, set[str]]]
"""Reads the codes of some resources, by rid."""


class _Section(NamedTuple):
    """The resources of one code, or those without any."""

    place: int
    word: str
    hashes: tuple[int, ...]

    def keys(self, row: Found) -> Found:
        return (self.place, self.word, *row[1:])


def in_order_of_codes(session: Session, query: Query, row_filter: RowFilter, codes: Codes, start: Position, limit: int) -> list[Found]:
    """Find the next matches of a query that is sorted by one parameter of codes; those before a position that says so, the nearest first."""
    param, descending = query.sort[0]
    found: list[Found] = []
    best = max if descending else min
    for section in _sections(session, param, start, up=descending == start.back):
        of_section = [Criterion(param, (Hashes(section.hashes),))] if section.hashes else []
        plain = replace(query, sort=[], criteria=[*query.criteria, *of_section])
        stream = Stream(0, plan(session, plain, row_filter))
        here = start.after[2:] if start.after and start.after[:2] == (section.place, section.word) else ()
        position, size = Position((0, *here) if here else (), start.snapshot, start.back), _FIRST
        while len(found) < limit:
            batch = merged(session, [stream], position, size)
            known = codes([rid_of(row) for row in batch])
            found += [section.keys(row) for row in batch if best(known[rid_of(row)], default="") == section.word]
            if len(batch) < size:
                break
            position, size = Position(batch[-1], start.snapshot, start.back), min(size * 2, 1_000)
        if len(found) >= limit:
            break
    return found[:limit]


def _sections(session: Session, param: SearchParam, start: Position, *, up: bool) -> Iterator[_Section]:
    """Yield the sections from a position on; those without a code come last, whatever the direction of the codes."""
    rest = _Section(WITHOUT, "", ())
    if start.back and (not start.after or start.after[0] == WITHOUT):
        yield rest
    if start.back or not start.after or start.after[0] == WITH_CODE:
        begin = str(start.after[1]) if start.after and start.after[0] == WITH_CODE else None
        yield from (_Section(WITH_CODE, word, hashes) for word, hashes in _words(session, param, begin, up=up))
    if not start.back:
        yield rest


def _words(session: Session, param: SearchParam, begin: str | None, *, up: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the codes of a parameter in order, each with its hashes, some hundred at a time."""
    sign, order = (">", "ASC") if up else ("<", "DESC")
    behind, params = ("", []) if begin is None else (f" AND w.word {sign}= ?", [begin])
    while True:
        sql = f"SELECT DISTINCT w.word FROM vocabulary w WHERE w.param = ? AND w.kind = ?{behind} ORDER BY w.word {order} LIMIT {_WORDS}"
        words = [str(row[0]) for row in session.all(sql, [param.id, CODE, *params])]
        for word in words:
            hashes = session.all("SELECT w.value FROM vocabulary w WHERE w.param = ? AND w.kind = ? AND w.word = ?", (param.id, CODE, word))
            yield word, tuple(int(row[0]) for row in hashes)
        if len(words) < _WORDS:
            return
        behind, params = f" AND w.word {sign} ?", [words[-1]]
