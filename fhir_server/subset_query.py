"""_summary and _elements as parameters: which part of a resource is asked for; pure.

Spec: https://hl7.org/fhir/R4/search.html#summary, https://hl7.org/fhir/R4/search.html#elements
"""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

from chartloop.kernel.errors import Invalid, Issue
from fhir_server.query_pairs import query_pairs
from fhir_server.spec.definitions import r4

SUMMARIES: Final = ("true", "text", "data", "false")


class Subset(NamedTuple):
    """What is asked for."""

    summary: str = "false"
    elements: frozenset[str] = frozenset()
    """JSON names of the top level; empty: all."""

    @property
    def whole(self) -> bool:
        """Whether nothing is left out."""
        return self.summary == "false" and not self.elements


WHOLE: Final = Subset()


def parse_subset(type_: str, query: str) -> Subset:
    """Read `_summary` and `_elements` of a read; other parameters are not looked at.

    Raises:
        Invalid: A value cannot be understood.
    """
    if "_summary" not in query and "_elements" not in query:
        return WHOLE
    summary, elements, issues = "false", frozenset[str](), []
    for name, value in query_pairs(query):
        if name == "_summary" and value in SUMMARIES:
            summary = value
        elif name == "_elements" and (named := element_names(type_, value)):
            elements |= named
        elif name in ("_summary", "_elements"):
            issues.append(problem(type_, name))
    if summary != "false" and elements:
        issues.append(problem(type_, ""))
    if issues:
        raise Invalid(issues=issues)
    return Subset(summary, elements)


def problem(type_: str, name: str) -> Issue:
    """Say what is wrong with a parameter; without a name, that both were given."""
    if name == "_summary":
        return Issue("error", "not-supported", "_summary takes true, text, data or false, and in a search count.", "http._summary")
    if name == "_elements":
        return Issue("error", "value", f"_elements takes names of elements of {type_}, separated by commas.", "http._elements")
    return Issue("error", "invalid", "Use either _summary or _elements.", "http._elements")


def element_names(type_: str, text: str) -> frozenset[str]:
    """JSON names that `_elements` asks for (`value` is every value[x]); empty where a name is unknown."""
    known = _known(type_)
    wanted = [name.strip() for name in text.split(",")]
    return frozenset(json for name in wanted for json in known[name]) if all(name in known for name in wanted) else frozenset()


@cache
def _known(type_: str) -> dict[str, tuple[str, ...]]:
    known: dict[str, tuple[str, ...]] = {}
    for element in r4().elements(type_):
        names = tuple(element.json_types())
        known |= {name: (name,) for name in names}
        known[element.name.removesuffix("[x]")] = names
    return known
