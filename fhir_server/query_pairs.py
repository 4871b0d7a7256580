"""A query string as names and values, of which there may be only so many; pure.

Spec: https://url.spec.whatwg.org/#application/x-www-form-urlencoded
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from chartloop.kernel.errors import Invalid


def query_pairs(query: str, most: int = 200) -> list[tuple[str, str]]:
    """Take a query string apart.

    Raises:
        Invalid: It holds more parameters than may be.
    """
    try:
        return parse_qsl(query, keep_blank_values=True, max_num_fields=most)
    except ValueError:
        raise Invalid(f"There are more than {most} parameters.", code="too-costly") from None
