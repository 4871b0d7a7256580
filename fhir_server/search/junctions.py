"""Conditions joined by `and`, `or` and `not` as SQL over one row, none of them ever NULL.

Spec: https://hl7.org/fhir/R4/search_filter.html
"""

from __future__ import annotations

from fhir_server.search.conditions import Condition, condition
from fhir_server.search.tree import Chain, Criterion, Node


def holds(node: Node, dialect: str) -> Condition:
    """Write the probe of a settled node over alias r of table resource."""
    if isinstance(node, Criterion):
        return condition(node, dialect)
    if isinstance(node, Chain):
        raise TypeError("A chain is answered before it is written.")
    parts = [holds(part, dialect) for part in node.parts]
    params = tuple(param for part in parts for param in part.params)
    if node.word == "not":
        return Condition(f"NOT ({parts[0].sql})", params)
    return Condition("(" + f" {node.word.upper()} ".join(part.sql for part in parts) + ")", params)
