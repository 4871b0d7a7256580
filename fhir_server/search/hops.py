"""Chains and `_has` answered hop by hop, deepest first: what is left of a query are criteria on its own type.

The references of a resource are indexed by their hash, so a hop is two looks: which resources match at its far end, under
the reader's row filter for their type, and which of ours refer to them (or are referred to by them). Where the far end
matches too much, the other criteria of the search choose the candidates, and only their neighbours are looked at.
Spec: https://hl7.org/fhir/R4/search.html#chaining, https://hl7.org/fhir/R4/search.html#has
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, Final

import msgspec

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Session
from chartloop.kernel.errors import Forbidden, Invalid
from fhir_server.hashing import value_hash
from fhir_server.indexing.compiler import LISTS, Extractor, compile_extractor
from fhir_server.rows import ids_of, packed_bodies
from fhir_server.search.concepts import needs_terminology, with_tokens
from fhir_server.search.lists import listed
from fhir_server.search.params import SearchParam, leaves_of_param
from fhir_server.search.planner import HANDFUL, fewest, linked, plan
from fhir_server.search.tree import ID, Branch, Chain, Criterion, Junction, Node, Query
from fhir_server.search.units import in_known_units
from fhir_server.search.values import ReferenceTo, Token
from fhir_server.search.words import looked_up, needs_lookup
from fhir_server.store import Store

MAX_LINKED: Final = 10_000
"""Most resources at one end of a hop."""

FEW: Final = 256
"""An end with fewer resources is where a hop begins, the one with the fewest first."""
_CHUNK: Final = 200
_REFERENCES: Final = tuple(LISTS).index("reference")
TOO_MANY: Final = (
    f"A chained parameter leads over more than {MAX_LINKED} resources, as does what else the search says; narrow either."
)


class _TooManyError(Exception):
    """More than MAX_LINKED resources at one end of a hop."""


def permitted_chain(store: Store, scope: Scope, type_: str, chain: Chain) -> Chain:
    """Take out the types this reader has no right to.

    Raises:
        Forbidden: None is left, or the chain looks at an element that is hidden from this reader in some row.
    """
    branches = tuple(branch for branch in chain.branches if store.access.permits(scope, branch.type))
    if not branches:
        raise Forbidden(f"{scope.action} on {chain.branches[0].type} is not permitted.")
    holder = branches[0].type if chain.reverse else type_
    if not store.access.searchable(scope, holder, chain.param.paths):
        raise Forbidden(f"{holder}:{chain.param.code} is hidden from you.")
    return replace(chain, branches=tuple(Branch(each, permitted(store, scope, each, inner)) for each, inner in branches))


def permitted(store: Store, scope: Scope, type_: str, node: Node) -> Node:
    """Do the same for any condition on a type."""
    if isinstance(node, Chain):
        return permitted_chain(store, scope, type_, node)
    if isinstance(node, Junction):
        return permitted_junction(store, scope, type_, node)
    if not store.access.searchable(scope, type_, node.param.paths):
        raise Forbidden(f"{type_}:{node.param.code} is hidden from you.")
    return node


def permitted_junction(store: Store, scope: Scope, type_: str, junction: Junction) -> Junction:
    """Do the same for each part of a junction."""
    return replace(junction, parts=tuple(permitted(store, scope, type_, part) for part in junction.parts))


def settled(session: Session, store: Store, scope: Scope, query: Query, *, sifting: bool = False) -> Query:
    """Answer the lists and chains of a query, look up its concepts and words, and say its quantities in every unit that the store knows; under the scope.

    `sifting` leaves the chains of which neither end is small as they are.

    Raises:
        Invalid: Both ends of a hop have more than MAX_LINKED resources, or a concept is not known here.
    """
    if query.lists:
        query = replace(query, criteria=[*query.criteria, *listed(session, store, scope, query)], lists=[])
    if not query.chains and not query.junctions and not any(needs_lookup(each) or needs_terminology(each) for each in query.criteria):
        return in_known_units(session, query)
    try:
        return _Hops(session, store, scope).settled(query, sifting=sifting)
    except _TooManyError:
        raise Invalid(TOO_MANY, code="too-costly") from None


def linked_ids(session: Session, store: Store, scope: Scope, type_: str, chain: Chain, rids: Sequence[int]) -> list[int]:
    """Keep those of some resources of a type for which a chain holds.

    Raises:
        Invalid: Too many resources refer to them.
    """
    try:
        return _Hops(session, store, scope).holding(type_, chain, rids)
    except _TooManyError:
        raise Invalid(TOO_MANY, code="too-costly") from None


class _Hops:
    def __init__(self, session: Session, store: Store, scope: Scope) -> None:
        self._session = session
        self._store = store
        self._scope = scope

    def settled(self, query: Query, *, sifting: bool = False) -> Query:
        query = in_known_units(self._session, query)
        query = replace(query, junctions=[self._looked_up_in(each) for each in query.junctions])
        plain = replace(query, criteria=[self._looked_up(each) for each in query.criteria], chains=[], junctions=[])
        near = self._few(plain) if query.chains or query.junctions else 0
        waiting: list[Chain] = []
        waiting_junctions: list[Junction] = []
        ends = [(self._far(each) if near > HANDFUL else FEW, each) for each in query.chains]
        for far, chain in sorted(ends, key=lambda end: end[0]):
            if sifting and near >= FEW and far >= FEW:
                plain.chains.append(chain)
                continue
            try:
                plain.criteria.append(self._from_either(plain, chain, near, far))
            except _TooManyError:
                waiting.append(chain)
            else:
                near = min(near, self._few(plain)) if len(query.chains) > 1 else near
        for junction in query.junctions:
            try:
                plain.junctions.append(_chainless(junction, partial(self._from_nearer, plain, near)))
            except _TooManyError:
                waiting_junctions.append(junction)
        if sifting:
            plain.chains += waiting
        for chain in waiting if not sifting else ():
            plain.criteria.append(self._from_candidates(plain, chain))
        for junction in waiting_junctions:
            plain.junctions.append(_chainless(junction, partial(self._from_any, plain)))
        return plain

    def _few(self, plain: Query) -> int:
        """Count the candidates that a query without chains leaves, up to FEW."""
        if not plain.criteria and not plain.junctions:
            return FEW
        return fewest(self._session, plain, self._store.access.row_filter(self._scope, plain.type), FEW)

    def _far(self, chain: Chain) -> int:
        """Count what the far end of a chain has, up to FEW; what lies behind further chains is not counted."""
        return min(FEW, sum(self._few(self._plain(_query(branch))) for branch in chain.branches))

    def _plain(self, query: Query) -> Query:
        """Return a query without its chains and junctions."""
        known = in_known_units(self._session, replace(query, junctions=[]))
        return replace(known, criteria=[self._looked_up(each) for each in known.criteria], chains=[])

    def _from_either(self, plain: Query, chain: Chain, near: int, far: int) -> Criterion:
        """Begin where there is less."""
        if near < FEW and near <= far:
            with suppress(_TooManyError):
                return self._from_candidates(plain, chain)
        return self._from_far_end(plain.type, chain)

    def _from_nearer(self, plain: Query, near: int, chain: Chain) -> Criterion:
        return self._from_either(plain, chain, near, self._far(chain))

    def _from_any(self, plain: Query, chain: Chain) -> Criterion:
        try:
            return self._from_far_end(plain.type, chain)
        except _TooManyError:
            return self._from_candidates(plain, chain)

    def _looked_up_in(self, junction: Junction) -> Junction:
        return replace(junction, parts=tuple(map(self._looked_up_node, junction.parts)))

    def _looked_up_node(self, node: Node) -> Node:
        if isinstance(node, Junction):
            return self._looked_up_in(node)
        return node if isinstance(node, Chain) else self._looked_up(node)

    def _looked_up(self, criterion: Criterion) -> Criterion:
        """Put what the index holds in the place of concepts and words."""
        return looked_up(self._session, self._store.vocabulary, with_tokens(self._session, self._store, self._scope, criterion))

    def _from_far_end(self, type_: str, chain: Chain) -> Criterion:
        """Find what matches at the far end, and what it is linked with."""
        if not chain.reverse:
            ids = [(branch.type, id_) for branch in chain.branches for id_, _ in self._matches(_query(branch))]
            return Criterion(chain.param, tuple(ReferenceTo(each, id_, "") for each, id_ in ids))
        (branch,) = chain.branches
        rids = [rid for _, rid in self._matches(_query(branch))]
        return _ids({id_ for _, (each, id_) in self._references(branch.type, chain.param, rids) if each == type_})

    def _from_candidates(self, plain: Query, chain: Chain) -> Criterion:
        """Find the candidates that the rest of the search leaves, and look at their neighbours alone."""
        candidates = self._matches(replace(plain, sort=[], chains=[]))
        if chain.reverse:
            return self._referred_to(plain.type, chain, [id_ for id_, _ in candidates])
        pairs = self._references(plain.type, chain.param, [rid for _, rid in candidates])
        return Criterion(chain.param, tuple(ReferenceTo(each, id_, "") for each, id_ in self._matching(chain, {to for _, to in pairs})))

    def holding(self, type_: str, chain: Chain, rids: Sequence[int]) -> list[int]:
        """Keep those of some resources for which a chain holds."""
        if chain.reverse:
            ids = {id_: rid for part in _chunks(rids) for rid, id_ in ids_of(self._session, part)}
            referred = self._referred_to(type_, chain, list(ids))
            return [ids[value.code] for value in referred.values if isinstance(value, Token) and value.code]
        pairs = list(self._references(type_, chain.param, rids))
        matching = self._matching(chain, {to for _, to in pairs})
        holding = {rid for rid, to in pairs if to in matching}
        return [rid for rid in rids if rid in holding]

    def _matching(self, chain: Chain, neighbours: AbstractSet[tuple[str, str]]) -> list[tuple[str, str]]:
        """Keep the neighbours, by type and id, that match at the far end of a chain."""
        found = []
        for branch in chain.branches:
            there = _query(branch)
            there.add(_ids({id_ for each, id_ in neighbours if each == branch.type}))
            found += [(branch.type, id_) for id_, _ in self._matches(there)]
        return found

    def _referred_to(self, type_: str, chain: Chain, ids: Sequence[str]) -> Criterion:
        """Keep the ids that some matching resource refers to; each look stops at the first."""
        (branch,) = chain.branches
        if not isinstance(branch.inner, Criterion):
            with suppress(_TooManyError):
                return self._referred_to_by(type_, chain.param, branch, ids)
        far = self.settled(_query(branch))
        row_filter = self._store.access.row_filter(self._scope, branch.type)
        hashes = {value_hash(f"{type_}/{id_}"): id_ for id_ in ids}
        found: set[str] = set()
        for part in _chunks(list(hashes)):
            sql, params = linked(self._session.dialect, far, row_filter, chain.param, part)
            found.update(hashes[int(row[0])] for row in self._session.all(sql, params))
        return _ids(found)

    def _referred_to_by(self, type_: str, param: SearchParam, branch: Branch, ids: Sequence[str]) -> Criterion:
        """Do the same where the other resources are at the near end of another chain: only those that refer to some of the ids are looked at."""
        there = _query(branch)
        there.add(Criterion(param, tuple(ReferenceTo(type_, id_, "") for id_ in ids)))
        rids = [rid for _, rid in self._matches(there)]
        return _ids({id_ for _, (each, id_) in self._references(branch.type, param, rids) if each == type_}.intersection(ids))

    def _matches(self, query: Query) -> list[tuple[str, int]]:
        """List (id, rid) of everything that matches and this reader may see."""
        plain = self.settled(query)
        row_filter = self._store.access.row_filter(self._scope, plain.type)
        sql, params = plan(self._session, plain, row_filter, whole=True).everything(MAX_LINKED + 1)
        found = [(str(row[0]), int(row[1])) for row in self._session.all(sql, params)]
        if len(found) > MAX_LINKED:
            raise _TooManyError
        return found

    def _references(self, type_: str, param: SearchParam, rids: Sequence[int]) -> Iterator[tuple[int, tuple[str, str]]]:
        """Read the references, as type and id, of some resources out of their bodies; with the rid of each."""
        extractor = _extractor(type_, param)
        for part in _chunks(rids):
            for rid, packed in packed_bodies(self._session, part):
                body = msgspec.json.decode(self._store.codec.unpack(*packed))
                rows: list[list[tuple[Any, ...]]] = [[] for _ in LISTS]
                extractor(body, *rows, self._store.base)
                yield from ((rid, (row[1], row[2])) for row in rows[_REFERENCES] if row[2])


def _query(branch: Branch) -> Query:
    query = Query(branch.type)
    query.add(branch.inner)
    return query


def _chainless(junction: Junction, answer: Callable[[Chain], Criterion]) -> Junction:
    """Put the answers of chains in their places."""
    parts: list[Node] = []
    for part in junction.parts:
        if isinstance(part, Chain):
            parts.append(answer(part))
        else:
            parts.append(_chainless(part, answer) if isinstance(part, Junction) else part)
    return replace(junction, parts=tuple(parts))


def _ids(ids: set[str]) -> Criterion:
    return Criterion(ID, tuple(Token(None, id_) for id_ in sorted(ids)))


def _chunks(items: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]


@lru_cache(maxsize=4096)
def _extractor(type_: str, param: SearchParam) -> Extractor:
    return compile_extractor(f"links_{type_}_{param.id}", leaves_of_param(type_, param))
