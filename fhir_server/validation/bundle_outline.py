"""The invariants of a Bundle that is taken apart and never parsed as a whole: by hand, and proven equal to the published ones.

Spec: https://hl7.org/fhir/R4/bundle.html#invs
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chartloop.kernel.errors import Issue


def _broken(text: str, path: str) -> Issue:
    return Issue("error", "invariant", text, path)


def bundle_errors(resource: Mapping[str, Any], path: str = "Bundle") -> Iterator[Issue]:
    """Broken invariants of a Bundle whose entries' resources are not read: all but those that ask for them (bdl-7, bdl-9 to bdl-12)."""
    kind = resource.get("type")
    if "total" in resource and kind not in ("searchset", "history"):
        yield _broken("bdl-1: total is for searchset and history", f"{path}.total")
    for index, entry in enumerate(resource.get("entry", ())):
        where = f"{path}.entry[{index}]"
        if "search" in entry and kind != "searchset":
            yield _broken("bdl-2: entry.search is for searchset", f"{where}.search")
        if ("request" in entry) != (kind in ("batch", "transaction", "history")):
            yield _broken("bdl-3: entry.request is for batch, transaction and history, and needed there", f"{where}.request")
        if ("response" in entry) != (kind in ("batch-response", "transaction-response", "history")):
            yield _broken("bdl-4: entry.response is for batch-response, transaction-response and history, and needed there", f"{where}.response")
        if "resource" not in entry and "request" not in entry and "response" not in entry:
            yield _broken("bdl-5: an entry needs a resource, a request or a response", where)
        if "/_history/" in entry.get("fullUrl", ""):
            yield _broken("bdl-8: fullUrl must not name a version", f"{where}.fullUrl")
