"""One search parameter, its modifier and its values to a criterion; what the index cannot answer is refused by name.

R4 has no `:text` of references, and its `:above` and `:below` along references of one type to itself are not built.
Spec: https://hl7.org/fhir/R4/search.html#modifiers
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from fhir_server.search import modifiers
from fhir_server.search import values as search_values
from fhir_server.search.params import SearchParam
from fhir_server.search.tree import ID, OF_EVERY_TYPE, Criterion
from fhir_server.search.values import Value
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
}
"""By kind of parameter; besides them every kind takes `:missing`, and a reference `:identifier` and `:[type]`; its `:below` is for canonical addresses."""

_OF_PARTS: Final = frozenset({"text", "of-type", "in", "not-in", "below"})

NOT_SEARCHABLE: Final = frozenset({"_security"})
"""Labels are in no stored body, and a search on them would disclose them."""

ParamsOf = Callable[[str], Mapping[str, SearchParam]]


class Refusal(NamedTuple):
    """Why a parameter is not answered: issue code and text."""

    code: str
    text: str


def searchable_params(type_: str, params_of: ParamsOf) -> dict[str, SearchParam]:
    """Search parameters of a type by code."""
    params = {**params_of(type_), **OF_EVERY_TYPE}
    return {code: param for code, param in params.items() if code not in NOT_SEARCHABLE and param.type in MODIFIERS}


def read_criterion(param: SearchParam, modifier: str, value: str, base: str) -> Criterion | Refusal:
    """Read one parameter; addresses below `base` are our own."""
    if modifier == "missing":
        return _missing(param, value)
    if modifier == "identifier" and param.type == "reference":
        # The identifier of a reference is indexed as a token of the same parameter.
        param, modifier = replace(param, type="token"), ""
    of_type = modifier if param.type == "reference" and modifier in TYPE_IDS and modifier in (param.targets or (modifier,)) else ""
    if not of_type and (modifier not in MODIFIERS[param.type] or not modifiers.takes(param, modifier)):
        return Refusal("not-supported", f"Modifier :{modifier[:32]} is not supported for {param.code}.")
    parts = search_values.split(value, ",")
    if len(parts) > MAX_VALUES:
        return Refusal("too-costly", f"A parameter has at most {MAX_VALUES} values.")
    values = [_values(param, of_type or modifier, part, base) for part in parts]
    if () in values:
        return Refusal("value", f"Value {values.index(()) + 1} of {param.code} is not a valid {param.type}.")
    done = {**dict.fromkeys((of_type, *_OF_PARTS), ""), "not-in": "not"} | ({"above": ""} if param.type == "token" else {})
    return Criterion(param, tuple(each for some in values for each in some), done.get(modifier, modifier))


def _missing(param: SearchParam, value: str) -> Criterion | Refusal:
    if param in OF_EVERY_TYPE.values():
        return Refusal("not-supported", f"{param.code} is never missing.")
    if value not in ("true", "false"):
        return Refusal("value", f"{param.code}:missing takes true or false.")
    return Criterion(param, (), missing=value == "true")


def _values(param: SearchParam, modifier: str, text: str, base: str) -> tuple[Value, ...]:
    """Read one value, which may stand for several in the index; none if it is malformed."""
    if modifier in _OF_PARTS or (modifier == "above" and param.type == "token"):
        return modifiers.values_of(param, modifier, text)
    found = _value(param, modifier, text, base)
    return () if found is None else (found,)


def _value(param: SearchParam, modifier: str, text: str, base: str) -> Value | None:
    if param.type == "token":
        found_token = search_values.token(text)
        return found_token if found_token is None or found_token.code or param is not ID else None
    if param.type == "date":
        return search_values.date(text)
    if param.type in ("quantity", "number"):
        return search_values.amount(text)
    if param.type == "reference":
        found = search_values.reference(text, base)
        if found is not None and modifier:
            return found._replace(type=modifier) if found.type in ("", modifier) and found.id else None
        return found
    plain = search_values.unescape(text)
    if modifier == "above" and not search_values.ancestors(plain):
        return None
    return search_values.Text(plain) if plain and len(plain) <= MAX_TEXT else None
