"""The order of a page: sort keys as SQL, and the place behind a position.

Of several values of a resource, the one that comes first in the order counts. What has no value comes last, up and down:
the specification leaves that open. Dates and quantities are ordered by where their ranges begin; tokens, references and
uris are indexed as hashes, so they are ordered by their values (search/valued.py).
Spec: https://hl7.org/fhir/R4/search.html#sort
"""

from __future__ import annotations

from collections.abc import Sequence
from sys import float_info
from typing import Final, NamedTuple

from fhir_server.indexing.rows import UNDATED, clinical_date
from fhir_server.search.conditions import Condition
from fhir_server.search.params import SearchParam, leaves_of
from fhir_server.search.tree import ID, LAST_UPDATED, Query, SortKey

FIRST_NUMBER: Final = -(2**63) + 1
LAST_NUMBER: Final = 2**63 - 1
LAST_TEXT: Final = "\U0010ffff"
COLUMNS: Final = {"date": ("idx_date", "low"), "string": ("idx_string", "value"), "quantity": ("idx_quantity", "low"), "number": ("idx_quantity", "low")}


class Key(NamedTuple):
    """One ORDER BY expression over alias r."""

    sql: str
    params: tuple[object, ...]
    descending: bool


def sort_keys(query: Query, *, ranked: bool = True) -> tuple[Key, ...]:
    """Write the keys of a query; `ranked` where the rank may stand for the clinical date."""
    if not query.sort:
        return (Key("r.rank", (), descending=False),)
    return tuple(_key(key, ranked and is_rank(query.type, key)) for key in query.sort)


def is_rank(type_: str, key: SortKey) -> bool:
    """Whether the rank of a type orders as a key does: it is its clinical date, which it has at most once."""
    ranking = clinical_date(type_)
    return ranking is not None and key.param.id == ranking.id and _single(type_, ranking)


def has_column(param: SearchParam) -> bool:
    """Whether the store holds values of a parameter that can be ordered."""
    return param in (ID, LAST_UPDATED) or param.type in COLUMNS


def missing(kind: str, *, descending: bool) -> int | float | str:
    """Return what stands for no value: it comes after every value in its direction."""
    if kind in ("quantity", "number"):
        return -float_info.max if descending else float_info.max
    if kind == "date":
        return FIRST_NUMBER if descending else LAST_NUMBER
    return "" if descending else LAST_TEXT


def _single(type_: str, param: SearchParam) -> bool:
    leaves = [leaf for leaf in leaves_of(type_) if leaf.param == param.id]
    elements = {leaf.place.element for leaf in leaves}
    return len(elements) == 1 and not any(op.kind == "many" for leaf in leaves for op in leaf.place.ops)


def _key(key: SortKey, ranked: bool) -> Key:
    if key.param is ID:
        return Key("r.fhir_id", (), key.descending)
    if key.param is LAST_UPDATED:
        return Key("r.updated", (), key.descending)
    if ranked and key.descending:
        return Key("r.rank", (), descending=False)
    if ranked:
        return Key(f"CASE WHEN r.rank = {UNDATED} THEN {FIRST_NUMBER} ELSE r.rank END", (), descending=True)
    table, column = COLUMNS[key.param.type]
    best = f"SELECT {'MAX' if key.descending else 'MIN'}(s.{column}) FROM {table} s WHERE s.rid = r.rid AND s.param = ?"
    return Key(f"COALESCE(({best}), ?)", (key.param.id, missing(key.param.type, descending=key.descending)), key.descending)


def behind(columns: Sequence[Key], after: Sequence[object]) -> Condition:
    """Write "behind this position" in lexicographic order, as one row comparison where the directions agree."""
    if len({key.descending for key in columns}) == 1:
        sign = "<" if columns[0].descending else ">"
        params = [param for key in columns for param in key.params]
        names = ", ".join(key.sql for key in columns)
        return Condition(f"({names}) {sign} ({', '.join('?' * len(columns))})", (*params, *after))
    alternatives, params = [], []
    for place, key in enumerate(columns):
        equal = [f"{each.sql} = ?" for each in columns[:place]]
        for each, value in zip(columns[:place], after, strict=False):
            params += [*each.params, value]
        alternatives.append(" AND ".join([*equal, f"{key.sql} {'<' if key.descending else '>'} ?"]))
        params += [*key.params, after[place]]
    return Condition("(" + " OR ".join(f"({each})" for each in alternatives) + ")", tuple(params))
