"""What a search says, as a tree: criteria, chains between types, junctions of both, sort keys, includes.

Spec: https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from fhir_server.search.params import SearchParam
from fhir_server.search.values import Value
from fhir_server.subset_query import Subset

DEFAULT_COUNT: Final = 50
ID: Final = SearchParam(id=-1, code="_id", type="token", targets=(), paths=("id",))
LAST_UPDATED: Final = SearchParam(id=-2, code="_lastUpdated", type="date", targets=(), paths=("meta.lastUpdated",))
OF_EVERY_TYPE: Final[Mapping[str, SearchParam]] = {"_id": ID, "_lastUpdated": LAST_UPDATED}


@dataclass(frozen=True, slots=True)
class Criterion:
    """One parameter with its alternatives; criteria are joined by AND, values by OR. No value at all finds nothing."""

    param: SearchParam
    values: tuple[Value, ...]
    modifier: str = ""
    missing: bool | None = None


@dataclass(frozen=True, slots=True)
class Chain:
    """A condition on resources one reference away; `reverse` where they hold the reference (`_has`).

    One branch for each type they may have; a match of any branch is enough.
    """

    param: SearchParam
    branches: tuple[Branch, ...]
    reverse: bool = False


class Branch(NamedTuple):
    """The type at the other end of a chain, and what must hold there."""

    type: str
    inner: Node


@dataclass(frozen=True, slots=True)
class Junction:
    """Conditions under `and` or `or`, or one under `not`."""

    word: str
    parts: tuple[Node, ...]


Node = Criterion | Chain | Junction


def criteria_of(node: Node) -> Iterator[Criterion]:
    """Yield the criteria of a node on the type itself."""
    if isinstance(node, Criterion):
        yield node
    elif isinstance(node, Junction):
        for part in node.parts:
            yield from criteria_of(part)


class SortKey(NamedTuple):
    """One key of `_sort`."""

    param: SearchParam
    descending: bool


class Include(NamedTuple):
    """`Source:param[:Target]`."""

    source: str
    param: SearchParam
    target: str


@dataclass(slots=True)
class Query:
    """A parsed search."""

    type: str
    criteria: list[Criterion] = field(default_factory=list)
    chains: list[Chain] = field(default_factory=list)
    junctions: list[Junction] = field(default_factory=list)
    """What is neither one criterion nor one chain: alternatives, and what must not hold."""
    sort: list[SortKey] = field(default_factory=list)
    count: int = DEFAULT_COUNT
    total: str = "none"
    summary: str = "false"
    elements: frozenset[str] = frozenset()
    includes: list[Include] = field(default_factory=list)
    revincludes: list[Include] = field(default_factory=list)
    cursor: str = ""
    ignored: list[str] = field(default_factory=list)
    pairs: list[tuple[str, str]] = field(default_factory=list)
    known: int = 0
    """Version of the search parameters that it was parsed with."""

    @property
    def subset(self) -> Subset:
        """The part of each match that is asked for."""
        return Subset("false" if self.summary == "count" else self.summary, self.elements)

    @property
    def filters(self) -> bool:
        """Whether it says anything about which resources."""
        return bool(self.criteria or self.chains or self.junctions)

    def add(self, node: Node) -> None:
        """Require one condition more; what stands under `and` can drive the search."""
        if isinstance(node, Criterion):
            self.criteria.append(node)
        elif isinstance(node, Chain):
            self.chains.append(node)
        elif node.word == "and":
            for part in node.parts:
                self.add(part)
        else:
            self.junctions.append(node)

    def paths(self) -> list[str]:
        """Element paths of the type itself that this search filters or sorts on; chains are judged apart."""
        criteria = [*self.criteria, *(each for junction in self.junctions for each in criteria_of(junction))]
        params = [criterion.param for criterion in criteria] + [key.param for key in self.sort]
        return [path for param in params for path in param.paths]
