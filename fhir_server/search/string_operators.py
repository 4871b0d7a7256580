"""Operators of `_filter` on strings: folded text against the first characters that are indexed.

Spec: https://hl7.org/fhir/R4/search_filter.html
"""

from __future__ import annotations

from typing import Final

from fhir_server.indexing.rows import STRING_LENGTH

STRING_OPERATORS: Final = {"eq": "=", "ne": "<>", "gt": ">", "lt": "<", "ge": ">=", "le": "<=", "ew": "LIKE"}


def compared(operator: str, folded: str, column: str) -> tuple[str, tuple[object, ...]]:
    """Write the comparison of a column with folded text, character by character; where the indexed text was cut, nobody knows its end."""
    if operator != "ew":
        return f"{column} {STRING_OPERATORS[operator]} ?", (folded,)
    escaped = folded.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"({column} LIKE ? ESCAPE '\\' AND length({column}) < {STRING_LENGTH})", (f"%{escaped}",)
