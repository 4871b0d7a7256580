"""Parameters that concern a search as a whole: _list, _contained, _containedType, _query; pure.

Contained resources have no rows in the index, so only `_contained=false` can be answered; named queries do not exist here.
Spec: https://hl7.org/fhir/R4/search.html#list, https://hl7.org/fhir/R4/search.html#contained, https://hl7.org/fhir/R4/search.html#query
"""

from __future__ import annotations

import re
from typing import Final

from fhir_server.search.criteria import Refusal
from fhir_server.search.tree import Query

OF_THE_WHOLE: Final = frozenset({"_list", "_contained", "_containedType", "_query"})
MAX_LISTS: Final = 10

_ID: Final = re.compile(r"(?:List/)?([A-Za-z0-9.\-]{1,64})", re.ASCII)


def read_whole(query: Query, name: str, value: str) -> Refusal | None:
    """Take one of OF_THE_WHOLE into a query, or say why not."""
    if name == "_list":
        return _list(query, value)
    if name == "_query":
        return Refusal("not-supported", "_query names a query, and there are no named queries here.")
    if name == "_containedType":
        return None if value == "container" else Refusal("not-supported", "_containedType=contained needs contained resources to be found.")
    if value == "false":
        return None
    if value in ("true", "both"):
        return Refusal("not-supported", "Contained resources are not indexed: only _contained=false is answered.")
    return Refusal("value", "_contained takes false.")


def _list(query: Query, value: str) -> Refusal | None:
    parts = value.split(",")
    if any(part.startswith("$") for part in parts):
        return Refusal("not-supported", "_list takes ids of Lists: there are no functional lists here.")
    found = [_ID.fullmatch(part) for part in parts]
    if None in found:
        return Refusal("value", f"Value {found.index(None) + 1} of _list is no id of a List.")
    if sum(map(len, query.lists)) + len(parts) > MAX_LISTS:
        return Refusal("too-costly", f"A search names at most {MAX_LISTS} Lists.")
    query.lists.append(tuple(each[1] for each in found if each))
    return None
