"""Index values of one resource as rows of the index tables, and the difference between two versions' rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cache, lru_cache
from operator import attrgetter
from typing import Final, NamedTuple

from chartloop.kernel.db import Tx
from fhir_server.hashing import value_hash
from fhir_server.indexing.composite_rows import COLUMNS, STRING_LENGTH, composite_rows
from fhir_server.indexing.dates import OPEN_LOW
from fhir_server.indexing.extraction import IndexValues
from fhir_server.indexing.ranges import ends
from fhir_server.indexing.sphere import on_sphere
from fhir_server.indexing.text_rows import replace_words
from fhir_server.indexing.text_words import NO_WORDS, TextWords
from fhir_server.indexing.units import KnownUnit, known_unit, unit_of
from fhir_server.indexing.words import Word, coded_token, mark_hash, words_beside
from fhir_server.search.params import SearchParam, coded_params, for_type

UNDATED: Final = 1 << 46
"""Rank of a resource without a clinical date: after all others."""

CLINICAL_DATES: Final = (
    "date", "birthdate", "authored-on", "authoredon", "created", "recorded", "recorded-date", "issued", "effective",
    "effective-time", "onset-date", "period", "sent", "whenhandedover", "whenprepared", "started", "collected",
)  # fmt: skip
"""Search parameters that can carry a type's clinical date, the first that the type has."""

INHERITS: Final = -1
"""In the place of a search parameter: the resource took over the labels of what it refers to."""

Row = tuple[object, ...]


class IndexRows(NamedTuple):
    """Rows without their rid; those of token and reference carry the rank."""

    rank: int
    token: frozenset[Row]
    reference: frozenset[Row]
    string: frozenset[Row]
    date: frozenset[Row]
    quantity: frozenset[Row]
    composite: frozenset[Row]
    position: frozenset[Row]
    units: frozenset[KnownUnit]
    """What the units of the quantities are; these are never taken away."""
    text: TextWords = NO_WORDS
    words: frozenset[Word] = frozenset()
    """What the vocabulary must know."""


_TABLES: Final = {
    "token": ("idx_token", ("param", "value", "rank")),
    "reference": ("idx_reference", ("param", "value", "rank")),
    "string": ("idx_string", ("param", "value", "exact")),
    "date": ("idx_date", ("param", "low", "high")),
    "quantity": ("idx_quantity", ("param", "low", "high", "unit", "code")),
    "composite": ("idx_composite", COLUMNS),
    "position": ("idx_position", ("param", "z", "x", "y")),
}

INDEX_TABLES: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = _TABLES
"""Table and columns, without the rid, of each field of IndexRows."""

_INSERT: Final = {
    name: f"INSERT INTO {table} ({', '.join(columns)}, rid) VALUES ({', '.join('?' * (len(columns) + 1))})"
    for name, (table, columns) in _TABLES.items()
}
_INSERT["reference"] += " ON CONFLICT DO NOTHING"  # what was inherited from once stays, and may be inherited from again
_DELETE: Final = {
    name: f"DELETE FROM {table} WHERE {' AND '.join(f'{column}=?' for column in (*columns, 'rid'))}"
    for name, (table, columns) in _TABLES.items()
}

_FIELDS: Final[list[tuple[str, Callable[[IndexRows], frozenset[Row]]]]] = [(name, attrgetter(name)) for name in _TABLES]

NO_ROWS: Final = IndexRows(UNDATED, *(frozenset[Row](),) * 7, frozenset())


@cache
def clinical_date(type_: str) -> SearchParam | None:
    """Return the date parameter that ranks a type, if it has one."""
    params = for_type(type_)
    return next((params[code] for code in CLINICAL_DATES if code in params and params[code].type == "date"), None)


def rank_of(low: int) -> int:
    """Rank of a date in microseconds: newest first."""
    return UNDATED if low <= OPEN_LOW else -(low // 1000)


def index_rows(type_: str, values: IndexValues) -> IndexRows:
    """Hash and fold the extracted values into rows."""
    ranking = clinical_date(type_)
    lows = [low for param, low, _ in values.dates if ranking is not None and param == ranking.id]
    rank = rank_of(min(lows)) if lows else UNDATED
    coded = coded_params(type_)
    tokens: set[Row] = set()
    words = set(words_beside(values))
    for param, system, code in values.tokens:
        if param in coded:
            value, known_as = coded_token(param, system, code)
            tokens.add((param, value, rank))
            words.update(known_as)
        else:
            tokens.update((param, value, rank) for value in identifier_hashes(system, code))
    tokens.update((param, mark_hash(kind, text), rank) for param, kind, text in values.marks)
    if values.uris:
        tokens.update((param, value_hash(uri), rank) for param, uri in (*values.uris, *_versioned(type_, values)))
    references = {
        (param, value_hash(f"{type_}/{id_}" if id_ else original), rank)
        for param, type_, id_, original in values.references
    }
    strings = {(param, folded[:STRING_LENGTH], value_hash(original)) for param, folded, original in values.strings}
    quantities = {
        (param, *each, unit_of(system, code), value_hash(code) if code else 0)
        for param, system, code, low, high, _ in values.quantities
        for each in ends(low, high)
    }
    quantities.update((param, *each, 0, 0) for param, low, high, *_ in values.numbers for each in ends(low, high))
    positions = {(param, z, x, y) for param, *place in values.positions for x, y, z in [on_sphere(*place)]}
    return IndexRows(
        rank, frozenset(tokens), frozenset(references), frozenset(strings), frozenset(values.dates), frozenset(quantities),
        frozenset(composite_rows(values.composites)), frozenset(positions), _units(values), words=frozenset(words),
    )  # fmt: skip


def _versioned(type_: str, values: IndexValues) -> list[tuple[int, str]]:
    """List the canonical address of a resource with its version, by which it may be searched for as well.

    Spec: https://hl7.org/fhir/R4/search.html#uri
    """
    params = for_type(type_)
    url, version = params.get("url"), params.get("version")
    if url is None or version is None or url.type != "uri":
        return []
    numbers = [code for param, _, code in values.tokens if param == version.id]
    return [(param, f"{uri}|{number}") for param, uri in values.uris if param == url.id for number in numbers]


def identifier_hashes(system: str, code: str) -> tuple[int, ...]:
    """Forms under which an identifier is found: `code`, `system|code` or `|code`, and `system|`."""
    return (*token_hashes(system, code), value_hash(f"{system}|"))


@lru_cache(maxsize=65_536)
def token_hashes(system: str, code: str) -> tuple[int, ...]:
    """Forms of a token that no vocabulary is asked for: `code`, and `system|code` or `|code`."""
    return (value_hash(code), value_hash(f"{system}|{code}")) if code else ()


def _units(values: IndexValues) -> frozenset[KnownUnit]:
    if not values.quantities and not values.composites:
        return frozenset()
    quantities = [row[1:3] for row in values.quantities]
    quantities += [part[1:3] for _, kinds, *parts in values.composites for kind, part in zip(kinds, parts, strict=True) if kind == "quantity"]
    return frozenset(known for system, code in quantities if (known := known_unit(system, code)) is not None)


def replace_rows(tx: Tx, changes: list[tuple[int, IndexRows, IndexRows]]) -> None:
    """Bring the index tables from the old rows to the new ones, for many resources at once; units and words are the vocabulary's."""
    replace_words(tx, [(rid, old.text, new.text) for rid, old, new in changes if old.text is not new.text])
    changed = [change for change in changes if change[1] is not NO_ROWS]
    for name, rows in _FIELDS:
        gone = [(*row, rid) for rid, old, new in changed for row in rows(old) - rows(new) if row[0] != INHERITS]
        if gone:
            tx.many(_DELETE[name], gone)
        added = [(*row, rid) for rid, old, new in changes for row in rows(new) - rows(old)]
        if added:
            # Index keys in order: neighbours land on the same page.
            added.sort()
            tx.many(_INSERT[name], added)


def store_units(tx: Tx, units: Collection[KnownUnit]) -> None:
    """List units of measure; in order, so that writers that bring the same new ones wait for each other one way only."""
    if units:
        tx.many("INSERT INTO known_unit (dimension, unit, code) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", sorted(units))
