"""Operators of `_filter` on one parameter, by its kind.

Strings compare folded, without case and accents, in their first 200 characters; tokens, references and addresses compare as
in plain parameters, with their case. `ne` is "some value is unequal": of tokens, which are indexed by their hashes, this is
known only where there can be no more than one. A number is indexed without its precision, so that no number `co` another.
Spec: https://hl7.org/fhir/R4/search_filter.html#ops
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fhir_server.indexing.values import fold
from fhir_server.search import values as search_values
from fhir_server.search.criteria import MAX_TEXT, Refusal, read_criterion
from fhir_server.search.params import SearchParam, leaves_of
from fhir_server.search.tree import LAST_UPDATED, OF_EVERY_TYPE, Criterion, Junction, Node

_PREFIXES: Final = {name: name for name in ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")}
_CONCEPTS: Final = {"in": "in", "ni": "not-in", "ss": "below", "sb": "above"}

OPERATORS: Final[Mapping[str, Mapping[str, str]]] = {
    "string": {**{name: name for name in ("eq", "ne", "gt", "lt", "ge", "le", "ew")}, "co": "contains", "sw": ""},
    "token": {"eq": "", "ne": "not", **_CONCEPTS},
    "uri": {"eq": "", "ne": "not"},
    "reference": {"re": ""},
    "date": {**_PREFIXES, "co": "co", "po": "po"},
    "number": _PREFIXES,
    "quantity": _PREFIXES,
}
"""By kind of parameter: operator to modifier, or to prefix; besides them every kind takes `pr`."""

SYSTEMS: Final[Mapping[str, str]] = {
    "loinc": "http://loinc.org",
    "snomed": "http://snomed.info/sct",
    "rxnorm": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "ucum": "http://unitsofmeasure.org",
}
"""Code systems by the names that a filter may use for them."""

_ONE_TOKEN: Final = frozenset({"code", "id", "string", "uri", "url", "canonical", "oid", "uuid", "boolean", "Coding", "Identifier", "ContactPoint"})
_PLAIN: Final = frozenset({"string", "uri"})


def read_comparison(operator: str, text: str, base: str, type_: str, param: SearchParam, modifier: str) -> Node | Refusal:
    """Read `parameter operator text` on a type."""
    if modifier:
        return Refusal("not-supported", f"A modifier (:{modifier[:32]}) is not supported in a filter")
    if operator == "pr":
        return _present(param, text)
    known = OPERATORS.get(param.type, {}).get(operator)
    if known is None or (param is LAST_UPDATED and operator in ("co", "po", "ap")):
        hint = "; a reference takes re" if param.type == "reference" else ""
        return Refusal("not-supported", f"Operator {operator} is not supported for {param.code}, a {param.type} parameter{hint}")
    if param.type == "string":
        return _string(param, known, text)
    if operator in ("co", "po"):
        found = search_values.date(text)
        return Refusal("value", f"The value of {param.code} is not a valid date") if found is None else Criterion(param, (found._replace(prefix=known),))
    if operator == "ne" and param.type in ("token", "uri"):
        return _unequal(type_, param, text, base)
    if known in _PREFIXES:
        return read_criterion(param, "", known + _escaped(param, text), base)
    return read_criterion(param, known, _escaped(param, text), base)


def _present(param: SearchParam, text: str) -> Criterion | Refusal:
    if text not in ("true", "false"):
        return Refusal("value", "Operator pr takes true or false")
    return read_criterion(param, "missing", "false" if text == "true" else "true", "")


def _string(param: SearchParam, modifier: str, text: str) -> Criterion | Refusal:
    if not 0 < len(fold(text)) < MAX_TEXT:
        return Refusal("value", f"The value of {param.code} has 1 to {MAX_TEXT - 1} characters")
    return Criterion(param, (search_values.Text(text),), modifier)


def _unequal(type_: str, param: SearchParam, text: str, base: str) -> Node | Refusal:
    """Have a value, and not this one; where there can be several, the index does not know."""
    if not _single(type_, param):
        return Refusal("not-supported", f"Operator ne is not supported for {param.code}, which may have several values; not ({param.code} eq ...) says that none is equal")
    equal = read_criterion(param, "", _escaped(param, text), base)
    if isinstance(equal, Refusal):
        return equal
    negated = Junction("not", (equal,))
    return negated if param in OF_EVERY_TYPE.values() else Junction("and", (Criterion(param, (), missing=False), negated))


def _single(type_: str, param: SearchParam) -> bool:
    """Whether a resource has at most one value under a parameter."""
    if param in OF_EVERY_TYPE.values():
        return True
    places = [leaf.place for leaf in leaves_of(type_) if leaf.param == param.id]
    if all(place.true for place in places):
        return True
    return len(places) == 1 and places[0].type in _ONE_TOKEN and all(op.kind != "many" for op in places[0].ops)


def _escaped(param: SearchParam, text: str) -> str:
    """Write a value as a plain parameter has it: a filter has no lists, and short names of systems."""
    if param.type in _PLAIN:
        return text.replace("\\", "\\\\").replace(",", "\\,").replace("|", "\\|").replace("$", "\\$")
    parts = search_values.split(text, "|")
    place = 1 if param.type == "quantity" else 0
    if len(parts) > place + 1:
        parts[place] = SYSTEMS.get(parts[place], parts[place])
    return "\\,".join(search_values.split("|".join(parts), ","))
