"""Typed access to the R4 facts; a section is decoded when it is first asked for.

Spec: https://hl7.org/fhir/R4/structuredefinition.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import Any, NamedTuple

import msgspec
import zstandard


@dataclass(frozen=True, slots=True)
class ValueSet:
    """A value set of a required binding; codes by system, None when its codes are not listed anywhere here."""

    url: str
    codes: Mapping[str, frozenset[str]] | None

    def flat(self) -> frozenset[str]:
        """All codes, whatever their system."""
        return frozenset().union(*(self.codes or {}).values())


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a type: `value[x]` keeps its name, its JSON names are in `json_types`."""

    name: str
    required: bool
    many: bool
    types: tuple[str, ...]
    targets: tuple[str, ...]
    value_set: ValueSet | None
    node: str

    @property
    def choice(self) -> bool:
        """Whether the element is a choice of types."""
        return self.name.endswith("[x]")

    def json_types(self) -> dict[str, str]:
        """Type code by JSON property name."""
        if not self.choice:
            return {self.name: self.types[0] if self.types else "BackboneElement"}
        stem = self.name.removesuffix("[x]")
        return {stem + code[0].upper() + code[1:]: code for code in self.types}


class ComponentFact(NamedTuple):
    """One component of a composite: its own parameter, and where it is, from where the composite is."""

    code: str
    type: str
    targets: tuple[str, ...]
    expression: str


@dataclass(frozen=True, slots=True)
class Constraint:
    """One constraint as published: `severity` is error or warning."""

    key: str
    severity: str
    human: str
    expression: str


@dataclass(frozen=True, slots=True)
class SearchParameterFact:
    """One SearchParameter as published."""

    code: str
    type: str
    bases: tuple[str, ...]
    targets: tuple[str, ...]
    expression: str
    components: tuple[ComponentFact, ...] = ()


class _TypeFact(msgspec.Struct, frozen=True):
    kind: str
    abstract: bool
    base: str
    nodes: dict[str, list[list[Any]]]


class Definitions:
    """The R4 definitions in one facts file."""

    def __init__(self, packed: bytes) -> None:
        """Unpack the sections, without decoding any."""
        raw = zstandard.ZstdDecompressor().decompress(packed)
        self._sections = msgspec.msgpack.decode(raw, type=dict[str, msgspec.Raw])
        self._types = msgspec.msgpack.decode(self._sections["types"], type=dict[str, msgspec.Raw])
        self._nodes: dict[str, tuple[Element, ...]] = {}

    def _section(self, name: str, type_: Any) -> Any:
        return msgspec.msgpack.decode(self._sections[name], type=type_)

    @cached_property
    def _targets(self) -> list[tuple[str, ...]]:
        targets: list[tuple[str, ...]] = self._section("targets", list[tuple[str, ...]])
        return targets

    @cached_property
    def _value_sets(self) -> list[ValueSet]:
        facts = self._section("valueSets", list[tuple[str, dict[str, frozenset[str]] | None]])
        return [ValueSet(url, codes) for url, codes in facts]

    @cached_property
    def _constraints(self) -> dict[str, tuple[Constraint, ...]]:
        table = [Constraint(*fact) for fact in self._section("constraints", list[tuple[str, str, str, str]])]
        found: dict[str, list[int]] = self._section("constrained", dict[str, list[int]])
        return {path: tuple(table[index] for index in indexes) for path, indexes in found.items()}

    @cached_property
    def _kinds(self) -> dict[str, tuple[str, bool, str]]:
        facts = self._section("types", dict[str, dict[str, msgspec.Raw]])
        decode = msgspec.msgpack.decode
        return {name: (decode(fact["kind"]), decode(fact["abstract"]), decode(fact["base"])) for name, fact in facts.items()}

    @cached_property
    def resource_types(self) -> tuple[str, ...]:
        """All concrete resource types, sorted; a type's place in this list never changes."""
        return tuple(name for name, (kind, abstract, _) in self._kinds.items() if kind == "resource" and not abstract)

    @cached_property
    def _resource_set(self) -> frozenset[str]:
        return frozenset(self.resource_types)

    @cached_property
    def primitive_types(self) -> frozenset[str]:
        """All primitive type codes."""
        return frozenset(name for name, (kind, _, _) in self._kinds.items() if kind == "primitive-type")

    @cached_property
    def code_systems(self) -> frozenset[str]:
        """URLs of the code systems that R4 itself publishes."""
        return frozenset(self._section("codeSystems", list[str]))

    @cached_property
    def search_parameters(self) -> tuple[SearchParameterFact, ...]:
        """Every search parameter of the package."""
        return tuple(SearchParameterFact(*fact) for fact in map(_search_fact, self._section("searchParameters", list[list[Any]])))

    @cached_property
    def _search_ids(self) -> dict[str, dict[str, int]]:
        ids: dict[str, dict[str, int]] = self._section("searchIds", dict[str, dict[str, int]])
        return ids

    @cached_property
    def _compartments(self) -> dict[str, dict[str, tuple[str, ...]]]:
        facts: dict[str, dict[str, tuple[str, ...]]] = self._section("compartments", dict[str, dict[str, tuple[str, ...]]])
        return facts

    def is_resource(self, name: str) -> bool:
        """Whether this is a concrete resource type."""
        return name in self._resource_set

    def has_type(self, name: str) -> bool:
        """Whether R4 has a type of this name, abstract ones too."""
        return name in self._kinds

    def base(self, name: str) -> str:
        """The type that a type specializes; empty for one that specializes none."""
        return self._kinds[name][2] if name in self._kinds else ""

    def search_ids(self, type_: str) -> Mapping[str, int]:
        """Stable number of each search parameter of a type."""
        return self._search_ids.get(type_, {})

    def compartment(self, code: str) -> Mapping[str, tuple[str, ...]]:
        """Search parameters by resource type that put a resource into the compartment."""
        return self._compartments[code]

    def has_elements(self, node: str) -> bool:
        """Whether this is a type or a backbone element that has elements: primitive types have none."""
        if node not in self._nodes and node.partition(".")[0] in self._types:
            self._load_type(node.partition(".")[0])
        return node in self._nodes

    @property
    def constrained_paths(self) -> tuple[str, ...]:
        """Where the definitions demand something."""
        return tuple(self._constraints)

    def constraints(self, path: str) -> tuple[Constraint, ...]:
        """What the definitions demand at a path ("Patient.contact"), or of every value of a type ("Quantity") beside what its base demands."""
        return self._constraints.get(path, ())

    def elements(self, node: str) -> tuple[Element, ...]:
        """Elements of a type ("Patient", "HumanName") or of a backbone inside it ("Patient.contact")."""
        known = self._nodes.get(node)
        if known is None:
            self._load_type(node.partition(".")[0])
            known = self._nodes[node]
        return known

    def nodes(self) -> list[str]:
        """All types and backbone elements that have elements."""
        for name in self._types:
            self._load_type(name)
        return sorted(self._nodes)

    def _load_type(self, name: str) -> None:
        fact = msgspec.msgpack.decode(self._types[name], type=_TypeFact)
        for path, elements in fact.nodes.items():
            self._nodes[path] = tuple(self._element(path, fact.nodes, *element) for element in elements)

    def _element(
        self,
        parent: str,
        nodes: Mapping[str, object],
        name: str,
        minimum: int,
        many: int,
        types: list[str],
        targets: int = -1,
        value_set: int = -1,
        content: str = "",
    ) -> Element:
        path = f"{parent}.{name}"
        node = content or (path if path in nodes else "")
        return Element(
            name=name,
            required=minimum > 0,
            many=bool(many),
            types=tuple(types),
            targets=self._targets[targets] if targets >= 0 else (),
            value_set=self._value_sets[value_set] if value_set >= 0 else None,
            node=node,
        )


def _search_fact(fact: list[Any]) -> tuple[Any, ...]:
    code, type_, bases, targets, expression, *rest = fact
    components = tuple(ComponentFact(its, kind, tuple(to), where) for its, kind, to, where in (rest[0] if rest else ()))
    return code, type_, tuple(bases), tuple(targets), expression, components


@cache
def r4() -> Definitions:
    """The R4 definitions that travel with this package."""
    return Definitions(resources.files("fhir_server.spec").joinpath("r4.zst").read_bytes())
