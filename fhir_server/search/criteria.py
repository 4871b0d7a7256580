"""One search parameter, its modifier and its values to a criterion; what the index cannot answer is refused by name.

Left out, because the index holds hashes of codes and addresses, no words and no prefixes: `:text`, `:below` of a uri,
`:of-type` (an identifier is indexed without its type), and `system|` for anything but identifiers.
Spec: https://hl7.org/fhir/R4/search.html#modifiers
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from fhir_server.indexing.values import fold
from fhir_server.search import values as search_values
from fhir_server.search.params import SearchParam
from fhir_server.search.text_parameters import KIND, read_text, text_params
from fhir_server.search.tree import ID, OF_EVERY_TYPE, Criterion
from fhir_server.search.values import Value
from fhir_server.type_ids import TYPE_IDS

MAX_VALUES: Final = 1000
MAX_TEXT: Final = 200
"""Longest string value; what is indexed of a string is as long."""

MODIFIERS: Final[Mapping[str, frozenset[str]]] = {
    "token": frozenset({"", "not"}),
    "string": frozenset({"", "exact", "contains"}),
    "reference": frozenset({""}),
    "date": frozenset({""}),
    "quantity": frozenset({""}),
    "number": frozenset({""}),
    "uri": frozenset({"", "above"}),
}
"""By kind of parameter; besides them every kind takes `:missing`, and a reference `:identifier` and `:[type]`."""

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
    return {code: param for code, param in params.items() if code not in NOT_SEARCHABLE and param.type in MODIFIERS} | text_params(type_)


def read_criterion(param: SearchParam, modifier: str, value: str, base: str) -> Criterion | Refusal:
    """Read one parameter; addresses below `base` are our own."""
    if param.type == KIND:
        found = read_text(param, modifier, [search_values.unescape(part) for part in search_values.split(value, ",")])
        return found if isinstance(found, Criterion) else Refusal(*found)
    if modifier == "missing":
        return _missing(param, value)
    if modifier == "identifier" and param.type == "reference":
        # The identifier of a reference is indexed as a token of the same parameter.
        param, modifier = replace(param, type="token"), ""
    of_type = modifier if param.type == "reference" and modifier in TYPE_IDS and modifier in (param.targets or (modifier,)) else ""
    if modifier not in MODIFIERS[param.type] and not of_type:
        return Refusal("not-supported", f"Modifier :{modifier[:32]} is not supported for {param.code}.")
    parts = search_values.split(value, ",")
    if len(parts) > MAX_VALUES:
        return Refusal("too-costly", f"A parameter has at most {MAX_VALUES} values.")
    values = [_value(param, of_type or modifier, part, base) for part in parts]
    if None in values:
        return _refused_value(param, values.index(None) + 1, parts[values.index(None)])
    return Criterion(param, tuple(each for each in values if each is not None), "" if of_type else modifier)


def _missing(param: SearchParam, value: str) -> Criterion | Refusal:
    if param in OF_EVERY_TYPE.values():
        return Refusal("not-supported", f"{param.code} is never missing.")
    if value not in ("true", "false"):
        return Refusal("value", f"{param.code}:missing takes true or false.")
    return Criterion(param, (), missing=value == "true")


def _refused_value(param: SearchParam, position: int, text: str) -> Refusal:
    if param.type == "token" and text.endswith("|") and text.count("|") == 1 and len(text) > 1:
        return Refusal("not-supported", f"{param.code} is not indexed by system alone: value {position} needs a code.")
    return Refusal("value", f"Value {position} of {param.code} is not a valid {param.type}.")


def _value(param: SearchParam, modifier: str, text: str, base: str) -> Value | None:
    if param.type == "token":
        found = search_values.token(text, system_alone=param.code == "identifier")
        return None if found is not None and param is ID and found.system is not None else found
    if param.type == "date":
        return search_values.date(text)
    if param.type in ("quantity", "number"):
        return search_values.amount(text) if param.type == "quantity" or "|" not in text else None
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
