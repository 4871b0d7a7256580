"""_include and _revinclude to syntax; pure.

`:iterate` follows what was included too; the older name `:recurse` is not in R4, and is refused.
Spec: https://hl7.org/fhir/R4/search.html#revinclude
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from fhir_server.search.criteria import ParamsOf, Refusal
from fhir_server.search.params import SearchParam
from fhir_server.search.tree import Include
from fhir_server.type_ids import TYPE_IDS

INCLUDES: Final = frozenset({"_include", "_revinclude", "_include:iterate", "_revinclude:iterate"})

_EVERY: Final = "*"
_MOST_PARTS: Final = 3


def read_include(among: Collection[str], name: str, value: str, params_of: ParamsOf) -> Include | Refusal:
    """Read `*`, `Source:*` or `Source:parameter`, the latter two with `:Target` or without.

    Args:
        among: Types that are searched.
        name: One of INCLUDES.
        value: What it says.
        params_of: Search parameters by type.
    """
    iterate = name.endswith(":iterate")
    if value == _EVERY:
        return Include("", None, "", iterate)
    source, code, target, *more = (*value.split(":"), "", "", "")[: max(_MOST_PARTS, value.count(":") + 1)]
    param = params_of(source).get(code) if source in TYPE_IDS else None
    known = source in TYPE_IDS and code == _EVERY if param is None else param.type == "reference"
    if more or not known or (target and not _may_lead_to(param, target)):
        return Refusal("not-supported", f"{name} takes Source:parameter, Source:parameter:Target, Source:* or *.")
    if not iterate and name == "_include" and source not in among:
        return Refusal("not-supported", f"_include starts at {_said(among)}, unless it is _include:iterate.")
    if not iterate and name == "_revinclude" and target and target not in among:
        return Refusal("not-supported", f"_revinclude ends at {_said(among)}, unless it is _revinclude:iterate.")
    return Include(source, param, target, iterate)


def _may_lead_to(param: SearchParam | None, target: str) -> bool:
    return target in TYPE_IDS if param is None or not param.targets else target in param.targets


def _said(among: Collection[str]) -> str:
    listed = list(among)
    return listed[0] if len(listed) == 1 else "one of the types that are searched"
