"""A write of a SearchParameter resource defines parameters: what it says is judged before, and takes effect in its transaction.

Active parameters are indexed by every write from then on; what was stored before is indexed by a job, and the parameter is searched when
that is done. What a parameter no longer says is not searched any more at once; its rows are removed by a job.
Spec: https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from chartloop.kernel.db import Tx
from chartloop.kernel.errors import Conflict, Issue, Unprocessable
from fhir_server.indexing.compiler import LISTS
from fhir_server.indexing.custom import NotExpressible, custom_leaves, custom_targets
from fhir_server.reindexing.jobs import FILL, PURGE, enqueue
from fhir_server.search.params import for_type, leaves_of_param
from fhir_server.search.registry import FILLING, FIRST_NUMBER, LAST_NUMBER, LEAVING, READY, Snapshot, advance
from fhir_server.search.tree import OF_EVERY_TYPE
from fhir_server.spec.definitions import r4
from fhir_server.type_ids import TYPE_IDS, TYPE_NAMES

TYPE: Final = "SearchParameter"
_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9\-]{0,63}")
_BUILT_IN: Final = frozenset({"composite", "special"})
"""Kinds whose parameters are those of the specification."""

_ABSTRACT: Final = frozenset({"Resource", "DomainResource"})


class Definition(NamedTuple):
    """What a SearchParameter says of one type."""

    type: str
    url: str
    code: str
    kind: str
    expression: str
    targets: tuple[str, ...]


def definitions(snapshot: Snapshot, id_: str, resource: Mapping[str, Any]) -> tuple[Definition, ...]:
    """Read what a SearchParameter defines: nothing if it is not active, and nothing where it repeats what R4 defines.

    Raises:
        Unprocessable: It cannot be indexed, or its code belongs to another parameter.
    """
    if resource.get("status") != "active":
        return ()
    _require_kind(resource)
    return tuple(found for type_ in _types(resource["base"]) if (found := _definition(snapshot, id_, type_, resource)))


def define(tx: Tx, id_: str, wanted: Iterable[Definition], now: int) -> None:
    """Bring what a SearchParameter defines from what it was to what it is."""
    wanted = dict.fromkeys(wanted)
    sql = f"SELECT number, type_id, url, code, kind, expression, targets FROM search_parameter WHERE owner = ? AND state IN ({FILLING}, {READY})"
    known = {Definition._make((TYPE_NAMES[row[1]], *row[2:6], tuple(str(row[6]).split()))): int(row[0]) for row in tx.all(sql, (id_,))}
    leaving = [number for each, number in known.items() if each not in wanted]
    fresh = [each for each in wanted if each not in known]
    if not leaving and not fresh:
        return
    for number in leaving:
        tx.run("UPDATE search_parameter SET state = ? WHERE number = ?", (LEAVING, number))
    if leaving:
        enqueue(tx, PURGE, sorted({each.type for each, number in known.items() if number in leaving}), leaving, now)
    if fresh:
        numbers = [_store(tx, id_, each) for each in fresh]
        enqueue(tx, FILL, sorted({each.type for each in fresh}), numbers, now)
    advance(tx)


def _store(tx: Tx, id_: str, new: Definition) -> int:
    """Give a definition a number that none has had."""
    same = f"SELECT 1 FROM search_parameter WHERE type_id = ? AND code = ? AND state IN ({FILLING}, {READY})"
    if tx.one(same, (TYPE_IDS[new.type], new.code)):
        raise Conflict(f"Two SearchParameters define {new.code} of {new.type}.", expression=f"{TYPE}.code")
    found = tx.one("SELECT MAX(number) FROM search_parameter")
    number = max(FIRST_NUMBER - 1, int(found[0] or 0) if found else 0) + 1
    if number > LAST_NUMBER:
        raise Unprocessable("There are no numbers left for search parameters.", code="too-costly", expression=TYPE)
    tx.run(
        "INSERT INTO search_parameter (number, type_id, owner, url, code, kind, expression, targets, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (number, TYPE_IDS[new.type], id_, new.url, new.code, new.kind, new.expression, " ".join(new.targets), FILLING),
    )
    return number


def _require_kind(resource: Mapping[str, Any]) -> None:
    kind = resource["type"]
    if kind not in LISTS or kind in _BUILT_IN:
        raise _refusal("type", f"Parameters of type {kind} are not supported here.", "not-supported")
    if not resource.get("expression"):
        raise _refusal("expression", "An active parameter needs an expression.", "required")


def _types(bases: Iterable[str]) -> Iterator[str]:
    named = list(bases)
    yield from TYPE_IDS if _ABSTRACT & set(named) else dict.fromkeys(named)


def _definition(snapshot: Snapshot, id_: str, type_: str, resource: Mapping[str, Any]) -> Definition | None:
    code, kind, expression = str(resource["code"]), str(resource["type"]), str(resource["expression"])
    if code in OF_EVERY_TYPE:
        if expression.partition(".")[2] == OF_EVERY_TYPE[code].paths[0] and kind == OF_EVERY_TYPE[code].type:
            return None
        raise _taken(type_, code)
    try:
        leaves = custom_leaves(type_, FIRST_NUMBER, kind, expression)
    except NotExpressible as error:
        raise _refusal("expression", f"Character {error.position}: {error.text}", "not-supported") from None
    if code in r4().search_ids(type_):
        builtin = for_type(type_).get(code)
        if builtin is None or builtin.type != kind or not _same(leaves, leaves_of_param(type_, builtin)):
            raise _taken(type_, code)
        return None
    if not _CODE.fullmatch(code):
        raise _refusal("code", "A code is a letter, followed by letters, digits and hyphens.", "value")
    if any(each.param.code == code and each.owner != id_ for each in snapshot.defined(type_)):
        raise _refusal("code", f"Another SearchParameter defines {code} of {type_}.", "duplicate")
    targets = tuple(sorted(resource.get("target", ()))) or (custom_targets(leaves) if kind == "reference" else ())
    return Definition(type_, str(resource["url"]), code, kind, expression, targets)


def _same(first: Iterable[Any], second: Iterable[Any]) -> bool:
    """Whether two parameters read the same elements."""
    return {(leaf.kind, leaf.place.ops, leaf.place.type, leaf.place.true) for leaf in first} == {
        (leaf.kind, leaf.place.ops, leaf.place.type, leaf.place.true) for leaf in second
    }


def _taken(type_: str, code: str) -> Unprocessable:
    return _refusal("code", f"R4 defines {code} of {type_} otherwise; choose another code.", "duplicate")


def _refusal(element: str, text: str, code: str) -> Unprocessable:
    return Unprocessable(issues=[Issue("error", code, text, f"{TYPE}.{element}")])
