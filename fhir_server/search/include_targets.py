"""What some resources refer to, as their reader sees them: current resources, the versions that are named, canonical addresses.

Spec: https://hl7.org/fhir/R4/search.html#include, https://hl7.org/fhir/R4/references.html#canonical
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Session
from fhir_server.indexing.extraction import extract
from fhir_server.rows import Row, at_version, by_references, by_rids
from fhir_server.search.canonicals import Address, named_in, with_canonicals
from fhir_server.search.params import SearchParam, for_type, holds_references
from fhir_server.search.tree import Include
from fhir_server.store import Store, Stored, acting
from fhir_server.type_ids import TYPE_IDS

_VERSION: Final = re.compile(r"/_history/([1-9][0-9]{0,8})\Z", re.ASCII)
_ANY: Final = ""


@dataclass(slots=True)
class _Wanted:
    """What to look for, each once, in the order in which it was met."""

    ids: dict[str, dict[str, None]] = field(default_factory=dict)
    versions: dict[tuple[str, str, int], None] = field(default_factory=dict)
    canonicals: dict[str, dict[Address, None]] = field(default_factory=dict)


def targets(session: Session, store: Store, scope: Scope, includes: Sequence[Include], edge: Sequence[tuple[Row, Stored]]) -> Iterator[Row]:
    """Yield what some resources refer to and this reader may see."""
    if not includes:
        return
    wanted = _Wanted()
    for _, stored in edge:
        _collect(store, includes, stored, wanted)
    for type_, ids in wanted.ids.items():
        rids = by_references(session, type_, list(ids), store.access.row_filter(scope, type_))
        found = by_rids(session, rids)
        yield from (found[rid] for rid in rids if rid in found)
    for type_, id_, version in wanted.versions:
        row_filter = store.access.row_filter(acting(scope, "vread"), type_, version_labels=True)
        row = at_version(session, type_, id_, version, row_filter)
        if row is not None:
            yield row
    for type_, addresses in wanted.canonicals.items():
        yield from with_canonicals(session, store, scope, type_, addresses)


def _collect(store: Store, includes: Sequence[Include], stored: Stored, wanted: _Wanted) -> None:
    mine = [include for include in includes if include.source in (_ANY, stored.type)]
    if not mine:
        return
    params = {param.id: param for param in store.parameters.now(stored.type).values() if param.type == "reference"}
    asked = {number: [each.target for each in mine if each.param in (None, param)] for number, param in params.items()}
    canonicals: dict[int, list[str]] = {}
    for number, type_, id_, text in extract(stored.type, msgspec.json.decode(stored.body), base=store.base, custom=store.parameters.now.extractor(stored.type)).references:
        if id_:
            _take(wanted, asked[number], type_, id_, text)
        elif asked[number] and not holds_references(stored.type, params[number]):
            canonicals.setdefault(number, []).append(text)
    for number, texts in canonicals.items():
        for target in _resolvable(params[number], asked[number]):
            wanted.canonicals.setdefault(target, {}).update(dict.fromkeys(sorted(named_in(texts))))


def _take(wanted: _Wanted, asked: Sequence[str], type_: str, id_: str, text: str) -> None:
    if type_ not in TYPE_IDS or not (_ANY in asked or type_ in asked):
        return
    version = _VERSION.search(text)
    if version:
        wanted.versions[type_, id_, int(version[1])] = None
    else:
        wanted.ids.setdefault(type_, {})[id_] = None


def _resolvable(param: SearchParam, asked: Sequence[str]) -> list[str]:
    """List the types that a canonical address may name."""
    targets_ = param.targets if _ANY in asked else [each for each in asked if each in param.targets]
    return [each for each in targets_ if each in TYPE_IDS and "url" in for_type(each)]
