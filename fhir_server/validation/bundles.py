"""Take a batch or transaction Bundle apart without parsing the resources in it.

Spec: https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

from itertools import islice
from typing import Any, NamedTuple

import msgspec

from chartloop.kernel.errors import ChartloopError, Invalid, Issue, Unprocessable
from fhir_server.validation.bundle_outline import bundle_errors
from fhir_server.validation.errors import MAX_ISSUES, resource_errors
from fhir_server.validation.fast import shell_passes
from fhir_server.validation.parsing import check_text, parse
from fhir_server.validation.resources import Validated, validate


class _Request(msgspec.Struct, gc=False):
    method: str = ""
    url: str = ""
    if_none_match: str = msgspec.field(default="", name="ifNoneMatch")
    if_modified_since: str = msgspec.field(default="", name="ifModifiedSince")
    if_match: str = msgspec.field(default="", name="ifMatch")
    if_none_exist: str = msgspec.field(default="", name="ifNoneExist")


class _Entry(msgspec.Struct, gc=False):
    full_url: str = msgspec.field(default="", name="fullUrl")
    resource: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    request: _Request | msgspec.UnsetType = msgspec.UNSET
    search: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    response: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Bundle(msgspec.Struct, gc=False):
    resource_type: str = msgspec.field(default="", name="resourceType")
    type: str = ""
    total: int | msgspec.UnsetType = msgspec.UNSET
    entry: list[_Entry] = msgspec.field(default_factory=list)


class BundleEntry(NamedTuple):
    """One entry; `resource` holds the bytes as they came, empty where there is none."""

    full_url: str
    resource: bytes
    method: str
    url: str
    if_none_match: str
    if_modified_since: str
    if_match: str
    if_none_exist: str


class SplitBundle(NamedTuple):
    """A Bundle's type and its entries."""

    type: str
    entries: tuple[BundleEntry, ...]


_decoder = msgspec.json.Decoder(_Bundle)


def split_bundle(body: bytes) -> SplitBundle:
    """Take a Bundle apart; its own elements are validated, the resources in its entries are not.

    Raises:
        Invalid: It is not JSON or no Bundle.
        Unprocessable: The Bundle itself breaks rules of R4.
    """
    check_text(body)
    bundle = _decoded(body)
    if bundle is None or not shell_passes(body):
        _judge_shell(body)
    if bundle is None:
        raise Invalid("the body is not a Bundle that can be read", code="structure")
    issues = tuple(islice(bundle_errors(_outline(bundle)), MAX_ISSUES))
    if issues:
        raise Unprocessable(issues=issues)
    return SplitBundle(bundle.type, tuple(map(_entry, bundle.entry)))


def validate_bundle(body: bytes, *, conditional: bool = True) -> tuple[SplitBundle, tuple[Validated | None, ...]]:
    """Split a Bundle and validate every resource in it; None for entries without one.

    Raises:
        Invalid: It is not JSON or no Bundle.
        Unprocessable: With the issues of all entries.
    """
    bundle = split_bundle(body)
    issues: list[Issue] = []
    validated: list[Validated | None] = []
    for index, entry in enumerate(bundle.entries):
        try:
            path = f"Bundle.entry[{index}].resource"
            validated.append(validate(entry.resource, path=path, conditional=conditional) if entry.resource else None)
        except ChartloopError as error:
            issues.extend(error.issues)
            if len(issues) >= MAX_ISSUES:
                break
    if issues:
        raise Unprocessable(issues=issues[:MAX_ISSUES])
    return bundle, tuple(validated)


def _decoded(body: bytes) -> _Bundle | None:
    """The Bundle; None where its elements have other types than they must."""
    try:
        bundle = _decoder.decode(body)
    except msgspec.ValidationError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"the body is not JSON: {error}", code="structure") from None
    if bundle.resource_type != "Bundle":
        raise Invalid("the body must be a Bundle", code="structure", expression="resourceType")
    return bundle


def _judge_shell(body: bytes) -> None:
    """Raise what is wrong with the Bundle itself; return where the fast pass was only too strict."""
    resource = parse(body)
    if not isinstance(resource, dict) or resource.get("resourceType") != "Bundle":
        raise Invalid("the body must be a Bundle", code="structure", expression="resourceType")
    issues = list(islice((issue for issue in resource_errors(resource) if ".resource." not in issue.expression), MAX_ISSUES))
    if issues:
        raise Unprocessable(issues=issues)


def _outline(bundle: _Bundle) -> dict[str, Any]:
    """Which elements are there, for the invariants."""
    outline: dict[str, Any] = {"type": bundle.type, "entry": [_entry_outline(entry) for entry in bundle.entry]}
    return outline if bundle.total is msgspec.UNSET else {**outline, "total": bundle.total}


def _entry_outline(entry: _Entry) -> dict[str, Any]:
    outline: dict[str, Any] = {"fullUrl": entry.full_url}
    if bytes(entry.resource):
        outline["resource"] = {}
    for name in ("request", "search", "response"):
        if getattr(entry, name) is not msgspec.UNSET:
            outline[name] = {}
    return outline


_NO_REQUEST = _Request()


def _entry(entry: _Entry) -> BundleEntry:
    request = entry.request or _NO_REQUEST
    return BundleEntry(
        entry.full_url,
        bytes(entry.resource),
        request.method,
        request.url,
        request.if_none_match,
        request.if_modified_since,
        request.if_match,
        request.if_none_exist,
    )
