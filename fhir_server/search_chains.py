"""One parameter name to a criterion, for now of the type itself.

Spec: https://hl7.org/fhir/R4/search.html#chaining
"""

from __future__ import annotations

from fhir_server.search_criteria import ParamsOf, Refusal, read_criterion, searchable_params
from fhir_server.search_tree import Chain, Criterion


def read_parameter(type_: str, name: str, value: str, params_of: ParamsOf, base: str) -> Criterion | Chain | Refusal | None:
    """Read one `name=value` of a search on a type; None where the type has no such parameter."""
    code, _, modifier = name.partition(":")
    param = searchable_params(type_, params_of).get(code)
    return None if param is None else read_criterion(param, modifier, value, base)
