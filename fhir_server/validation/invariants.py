"""Invariants that are cheap and often broken; the rest of R4's invariants is not checked yet.

Spec: https://hl7.org/fhir/R4/conformance-rules.html#constraints
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chartloop.kernel.errors import Issue
from fhir_server.references import references_in


def invariant_errors(resource: Mapping[str, Any], body: bytes, path: str) -> Iterator[Issue]:
    """Broken invariants of a resource whose structure is right."""
    type_ = resource["resourceType"]
    if b'"#' in body:
        yield from _local_references(resource, path)
    if type_ == "Observation":
        yield from _observation(resource, path)
    elif type_ == "Bundle":
        yield from bundle_errors(resource, path)
        yield from _double_full_urls(resource, path)
    elif type_ == "Patient":
        yield from _patient(resource, path)


def _broken(text: str, path: str) -> Issue:
    return Issue("error", "invariant", text, path)


def _local_references(resource: Mapping[str, Any], path: str) -> Iterator[Issue]:
    if resource["resourceType"] in ("Bundle", "Parameters"):
        return
    known = {f"#{item['id']}" for item in resource.get("contained", ()) if "id" in item} | {"#"}
    for where, text in references_in(resource):
        if text.startswith("#") and text not in known:
            yield _broken("ref-1: a local reference must name a contained resource", path + where)


def _observation(resource: Mapping[str, Any], path: str) -> Iterator[Issue]:
    valued = any(key.startswith("value") for key in resource)
    if valued and "dataAbsentReason" in resource:
        yield _broken("obs-6: dataAbsentReason must only be there when there is no value", f"{path}.dataAbsentReason")
    if valued and "component" in resource:
        codes = {(coding.get("system"), coding.get("code")) for coding in resource["code"].get("coding", ())}
        for index, component in enumerate(resource["component"]):
            if codes & {(coding.get("system"), coding.get("code")) for coding in component["code"].get("coding", ())}:
                yield _broken("obs-7: a component must not repeat the code of an Observation that has a value", f"{path}.component[{index}].code")


def _patient(resource: Mapping[str, Any], path: str) -> Iterator[Issue]:
    for index, contact in enumerate(resource.get("contact", ())):
        if not {"name", "telecom", "address", "organization"} & set(contact):
            yield _broken("pat-1: a contact needs details or an organization", f"{path}.contact[{index}]")


def bundle_errors(resource: Mapping[str, Any], path: str = "Bundle") -> Iterator[Issue]:
    """Broken invariants of a Bundle and its entries; the resources in them are not read, and unique fullUrls are not asked for."""
    kind = resource.get("type")
    if "total" in resource and kind not in ("searchset", "history"):
        yield _broken("bdl-1: total is for searchset and history", f"{path}.total")
    for index, entry in enumerate(resource.get("entry", ())):
        where = f"{path}.entry[{index}]"
        if "search" in entry and kind != "searchset":
            yield _broken("bdl-2: entry.search is for searchset", f"{where}.search")
        if ("request" in entry) != (kind in ("batch", "transaction", "history")):
            yield _broken("bdl-3: entry.request is for batch, transaction and history, and needed there", f"{where}.request")
        if "resource" not in entry and "request" not in entry and "response" not in entry:
            yield _broken("bdl-5: an entry needs a resource, a request or a response", where)
        if "/_history/" in entry.get("fullUrl", ""):
            yield _broken("bdl-8: fullUrl must not name a version", f"{where}.fullUrl")


def _double_full_urls(resource: Mapping[str, Any], path: str) -> Iterator[Issue]:
    seen: set[tuple[str, str]] = set()
    for index, entry in enumerate(resource.get("entry", ()) if resource["type"] != "history" else ()):
        version = entry.get("resource", {}).get("meta", {}).get("versionId", "")
        key = (entry.get("fullUrl", ""), version)
        if key[0] and key in seen:
            yield _broken("bdl-7: fullUrl must be unique in a bundle", f"{path}.entry[{index}].fullUrl")
        seen.add(key)
