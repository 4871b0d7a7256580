"""One search parameter, its modifier and its values to a criterion; what the index cannot answer is refused by name.

R4 has no `:text` of references, and its `:above` and `:below` along references of one type to itself are not built.
Spec: https://hl7.org/fhir/R4/search.html#modifiers
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from fhir_server.indexing.values import fold
from fhir_server.search import modifiers
from fhir_server.search import values as search_values
from fhir_server.search.combinations import MAX_COMBINATIONS, combination
from fhir_server.search.params import SearchParam
from fhir_server.search.security import is_security, with_labels
from fhir_server.search.text_parameters import KIND, read_text, text_params
from fhir_server.search.tree import ID, OF_EVERY_TYPE, Criterion
from fhir_server.search.values import Token, Value
from fhir_server.type_ids import TYPE_IDS

MAX_VALUES: Final = 1000
MAX_TEXT: Final = 200
"""Longest string value; what is indexed of a string is as long."""

MODIFIERS: Final[Mapping[str, frozenset[str]]] = {
    "token": frozenset({"", "not", "text", "of-type", "in", "not-in", "above", "below"}),
    "string": frozenset({"", "exact", "contains"}),
    "reference": frozenset({"", "below"}),
    "date": frozenset({""}),
    "quantity": frozenset({""}),
    "number": frozenset({""}),
    "uri": frozenset({"", "above", "below"}),
    "composite": frozenset({""}),
    "special": frozenset({""}),
}
"""By kind of parameter; besides them every kind takes `:missing`, and a reference `:identifier` and `:[type]`; its `:below` is for canonical addresses."""

_OF_PARTS: Final = frozenset({"text", "of-type", "in", "not-in", "below"})

_READERS: Final[Mapping[str, Callable[[str], Value | None]]] = {
    "date": search_values.date,
    "quantity": search_values.amount,
    "number": search_values.number,
    "special": search_values.position,
}

ParamsOf = Callable[[str], Mapping[str, SearchParam]]


class Refusal(NamedTuple):
    """Why a parameter is not answered: issue code and text."""

    code: str
    text: str


def searchable_params(type_: str, params_of: ParamsOf) -> dict[str, SearchParam]:
    """Search parameters of a type by code."""
    params = {**params_of(type_), **OF_EVERY_TYPE}
    return {code: with_labels(param) for code, param in params.items() if param.type in MODIFIERS} | text_params(type_)


def read_criterion(param: SearchParam, modifier: str, value: str, base: str) -> Criterion | Refusal:
    """Read one parameter; addresses below `base` are our own."""
    if param.type == KIND:
        found = read_text(param, modifier, [search_values.unescape(part) for part in search_values.split(value, ",")])
        return found if isinstance(found, Criterion) else Refusal(*found)
    if modifier == "missing":
        return _missing(param, value)
    if is_security(param) and modifier not in ("", "not"):
        return Refusal("not-supported", f"Modifier :{modifier[:32]} is not supported for {param.code}.")
    if modifier == "identifier" and param.type == "reference":
        # The identifier of a reference is indexed as a token of the same parameter.
        param, modifier = replace(param, type="token"), ""
    of_type = modifier if param.type == "reference" and modifier in TYPE_IDS and modifier in (param.targets or (modifier,)) else ""
    if not of_type and (modifier not in MODIFIERS[param.type] or not modifiers.takes(param, modifier)):
        return Refusal("not-supported", f"Modifier :{modifier[:32]} is not supported for {param.code}.")
    parts = search_values.split(value, ",")
    most = MAX_COMBINATIONS if param.type in ("composite", "special") else MAX_VALUES
    if len(parts) > most:
        return Refusal("too-costly", f"A parameter has at most {most} values.")
    values = [_values(param, of_type or modifier, part, base) for part in parts]
    if () in values:
        return _refused_value(param, values.index(()) + 1)
    done = {**dict.fromkeys((of_type, *_OF_PARTS), ""), "not-in": "not"} | ({"above": ""} if param.type == "token" else {})
    return Criterion(param, tuple(each for some in values for each in some), done.get(modifier, modifier))


def _missing(param: SearchParam, value: str) -> Criterion | Refusal:
    if param in OF_EVERY_TYPE.values():
        return Refusal("not-supported", f"{param.code} is never missing.")
    if value not in ("true", "false"):
        return Refusal("value", f"{param.code}:missing takes true or false.")
    return Criterion(param, (), missing=value == "true")


def _refused_value(param: SearchParam, position: int) -> Refusal:
    if param.type == "composite":
        return Refusal("value", f"Value {position} of {param.code} is not {'$'.join(each.type for each in param.components)}.")
    if param.type == "special":
        return Refusal("value", f"Value {position} of {param.code} is not latitude|longitude|distance|unit of length.")
    return Refusal("value", f"Value {position} of {param.code} is not a valid {param.type}.")


def _values(param: SearchParam, modifier: str, text: str, base: str) -> tuple[Value, ...]:
    """Read one value, which may stand for several in the index; none if it is malformed."""
    if modifier in _OF_PARTS or (modifier == "above" and param.type == "token"):
        return modifiers.values_of(param, modifier, text)
    found = _value(param, modifier, text, base)
    return () if found is None else (found,)


def _component(param: SearchParam, text: str, base: str) -> Value | None:
    """Read a part of a composite; a system alone is none."""
    found = _value(param, "", text, base)
    return None if isinstance(found, Token) and not found.code else found


def _value(param: SearchParam, modifier: str, text: str, base: str) -> Value | None:
    if param.type == "token":
        found = search_values.token(text)
        return None if found is not None and param is ID and found.system is not None else found
    if param.type in _READERS:
        return _READERS[param.type](text)
    if param.type == "composite":
        return combination(param, text, lambda component, part: _component(component, part, base))
    if param.type == "reference":
        named = search_values.reference(text, base)
        if named is not None and modifier:
            return named._replace(type=modifier) if named.type in ("", modifier) and named.id else None
        return named
    plain = search_values.unescape(text)
    if modifier == "above" and not search_values.ancestors(plain):
        return None
    said = plain if param.type == "uri" else fold(plain)  # spaces alone would be the beginning of everything
    return search_values.Text(plain) if said and len(plain) <= MAX_TEXT else None
