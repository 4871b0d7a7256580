"""The search parameters of this moment: those of R4, and those that SearchParameter resources define.

What they define is in the database; every process keeps a snapshot of it. A write is prepared under a snapshot and sees in its own
transaction that it is still the current one, and a search sees so in the transaction that it reads in: a number, no more. Who changes
the parameters locks the fence first: on PostgreSQL that waits for the writes under way, and those that come later wait for the change.
So a write that commits after a change was prepared under it.
Spec: https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from chartloop.kernel.db import Database, Tx
from fhir_server.indexing.compiler import Extractor, Leaf
from fhir_server.indexing.custom import custom_extractor, custom_leaves, custom_paths
from fhir_server.search.params import SearchParam, for_type
from fhir_server.type_ids import TYPE_NAMES

FIRST_NUMBER: Final = 10_001
"""No parameter of R4 has it, nor will."""
LAST_NUMBER: Final = 32_767

FILLING: Final = 1
"""Every write is indexed under it; what was stored before is being indexed."""
READY: Final = 2
LEAVING: Final = 3
"""No longer searched nor indexed; its rows are being removed."""
GONE: Final = 4

_VERSION: Final = "COALESCE((SELECT version FROM search_version), 0)"
_FENCE: Final = f"SELECT {_VERSION} WHERE NOT EXISTS (SELECT 1 FROM search_fence)"
_LOAD: Final = (
    f"SELECT v.version, p.number, p.type_id, p.owner, p.url, p.code, p.kind, p.expression, p.targets, p.state FROM (SELECT {_VERSION} AS version) v "
    f"LEFT JOIN search_parameter p ON p.state IN ({FILLING}, {READY}) ORDER BY p.number"
)


class Outdated(Exception):
    """The search parameters have changed since a search was parsed."""


class Defined(NamedTuple):
    """A parameter that a SearchParameter resource defines for one type."""

    type: str
    owner: str
    """Id of the resource."""
    url: str
    param: SearchParam
    ready: bool

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """Where its values are."""
        return custom_leaves(self.type, self.param.id, self.param.type, self.param.expression)


class Snapshot:
    """The parameters as they are at one version; it never changes."""

    def __init__(self, version: int, defined: Sequence[Defined] = ()) -> None:
        """Take what is defined."""
        self.version = version
        self._of_type: dict[str, list[Defined]] = {}
        for each in defined:
            self._of_type.setdefault(each.type, []).append(each)
        self._merged: dict[str, Mapping[str, SearchParam]] = {}
        self._extractors: dict[str, Extractor] = {}

    def __call__(self, type_: str) -> Mapping[str, SearchParam]:
        """Return the parameters of a type that can be searched, by code."""
        if type_ not in self._of_type:
            return for_type(type_)
        if type_ not in self._merged:
            self._merged[type_] = {**for_type(type_), **{each.param.code: each.param for each in self._of_type[type_] if each.ready}}
        return self._merged[type_]

    def defined(self, type_: str) -> Sequence[Defined]:
        """Return what is defined for a type, searchable or not yet."""
        return self._of_type.get(type_, ())

    def numbers(self) -> frozenset[int]:
        """Return the numbers that are indexed."""
        return frozenset(each.param.id for listed in self._of_type.values() for each in listed)

    def filling(self, type_: str) -> frozenset[str]:
        """Return the codes of a type that are being indexed."""
        return frozenset(each.param.code for each in self.defined(type_) if not each.ready)

    def extractor(self, type_: str) -> Extractor | None:
        """Return what extracts the values of all that is defined for a type; None for nothing."""
        if type_ not in self._of_type:
            return None
        found = self._extractors.get(type_)
        if found is None:
            leaves = [leaf for each in self._of_type[type_] for leaf in each.leaves]
            found = self._extractors[type_] = custom_extractor(type_, leaves)
        return found


class Registry:
    """The newest snapshot that this process knows."""

    def __init__(self) -> None:
        """Know nothing but R4 yet."""
        self.now = Snapshot(0)

    def refresh(self, db: Database) -> bool:
        """Look whether there is a newer one; say so."""
        with db.read() as session:
            found = session.all(_LOAD)
        version = int(found[0][0])
        if version <= self.now.version:
            return False
        self.now = Snapshot(version, [_defined(row) for row in found if row[1] is not None])
        return True


def fence(tx: Tx) -> int:
    """Return the version that this transaction's index rows must be made under; nobody changes it before the transaction ends."""
    found = tx.one(_FENCE)
    return int(found[0]) if found else 0


def close_fence(tx: Tx) -> None:
    """Let every write under way end, and keep others out until this transaction has ended; SQLite has one writer anyway."""
    if tx.dialect == "postgresql":
        tx.run("LOCK TABLE search_fence IN ACCESS EXCLUSIVE MODE")


def advance(tx: Tx) -> None:
    """Let every process notice that the parameters have changed."""
    if tx.run("UPDATE search_version SET version = version + 1") == 0:
        tx.run("INSERT INTO search_version (one, version) VALUES (1, 1)")


def _defined(row: Sequence[object]) -> Defined:
    _, number, type_id, owner, url, code, kind, expression, targets, state = row
    type_ = TYPE_NAMES[int(str(type_id))]
    paths = custom_paths(type_, str(expression))
    param = SearchParam(int(str(number)), str(code), str(kind), tuple(str(targets).split()), paths, ranged=kind in ("quantity", "number"), expression=str(expression))
    return Defined(type_, str(owner), str(url), param, state == READY)
