"""What an HTTP request asks for besides its address: media types, Prefer, preconditions.

Spec: https://hl7.org/fhir/R4/http.html#mime-type
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

from chartloop.kernel.errors import Invalid, UnsupportedMedia
from fhir_server.media_types import JSON, Format, Kind, body_kind, media_type, wanted_format
from fhir_server.patching.application import unsupported
from fhir_server.patching.documents import FHIRPATH_PATCH, JSON_PATCH
from fhir_server.preconditions import IfMatch, create_only_of, if_match_of

FORM: Final = "application/x-www-form-urlencoded"
_MOST: Final = 200
_OF_ANSWERS: Final = frozenset({"_format", "_pretty"})


class Preferences(NamedTuple):
    """The Prefer header: what a write returns, and whether unknown parameters are ignored."""

    returns: str
    lenient: bool


def answer_format(environ: Mapping[str, Any], form: str = "") -> Format | None:
    """Return the format that a request wants its answer in, `_format` (in the form of a search too) before Accept; None where it takes none of ours."""
    for query in (form, environ.get("QUERY_STRING")):
        if query and "_format" in query and (asked := _parameter(query, "_format")):
            return wanted_format(asked.replace(" ", "+"))
    accept = environ.get("HTTP_ACCEPT")
    return wanted_format(str(accept)) if accept else JSON


def _parameter(query: str, name: str) -> str:
    try:
        return dict(parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST)).get(name, "")
    except ValueError:  # too many: the interaction says so
        return ""


def wants_pretty(query: str) -> bool:
    """Whether the answer is for people to look at."""
    return "_pretty=true" in query


def is_search_form(environ: Mapping[str, Any]) -> bool:
    """Whether the body is the form of POST _search."""
    return media_type(str(environ.get("CONTENT_TYPE", "")))[0] == FORM and str(environ["PATH_INFO"]).endswith("/_search")


def require_body_kind(environ: Mapping[str, Any]) -> Kind:
    """Return the format of a body; refuse one that is not FHIR in UTF-8."""
    kind = body_kind(str(environ.get("CONTENT_TYPE", "")))
    if kind is None:
        raise UnsupportedMedia("The body must be application/fhir+json or application/fhir+xml in UTF-8.")
    return kind


def preferences(environ: Mapping[str, Any]) -> Preferences:
    """Read the Prefer header; what is unknown there is ignored, as the standard says."""
    said = {part.strip().lower() for part in str(environ.get("HTTP_PREFER", "")).replace(";", ",").split(",")}
    for name in ("minimal", "operationoutcome"):
        if f"return={name}" in said:
            return Preferences(name, "handling=lenient" in said)
    return Preferences("representation", "handling=lenient" in said)


def bundle_preferences(environ: Mapping[str, Any]) -> Preferences:
    """Read the Prefer header of a batch or transaction: its entries come back without their resources unless it asks for them."""
    wanted = preferences(environ)
    return wanted if "return=" in str(environ.get("HTTP_PREFER", "")).lower() else wanted._replace(returns="minimal")


def if_match(environ: Mapping[str, Any]) -> IfMatch:
    """Read If-Match: a version, a list of versions or any."""
    return if_match_of(str(environ.get("HTTP_IF_MATCH", "")))


def create_only(environ: Mapping[str, Any]) -> bool:
    """Read If-None-Match of a PUT."""
    return create_only_of(str(environ.get("HTTP_IF_NONE_MATCH", "")))


def patch_type(environ: Mapping[str, Any]) -> str:
    """Media type of a patch; FHIRPath Patch is Parameters, in JSON when it gets to its interaction."""
    return JSON_PATCH if patch_kind(environ) is None else FHIRPATH_PATCH


def patch_kind(environ: Mapping[str, Any]) -> Kind | None:
    """Return the format of a FHIRPath Patch, None for a JSON Patch; a body that is neither is refused."""
    said = str(environ.get("CONTENT_TYPE", ""))
    if media_type(said)[0] == JSON_PATCH:
        return None
    kind = body_kind(said)
    if kind is None:
        raise unsupported()
    return kind


def if_none_exist(environ: Mapping[str, Any], query: str = "") -> str:
    """Read the condition of a create.

    If-None-Exist has search parameters, with or without a question mark or our own address in front. Some clients (fhirpy) write them into the address,
    as an update has them: a create that ignored them would store the same thing again and again.
    """
    header = str(environ.get("HTTP_IF_NONE_EXIST", "")).strip()
    said = header.partition("?")[2] if "?" in header else header
    if header and not said:
        raise Invalid("If-None-Exist needs search parameters.")
    address = "&".join(part for part in query.split("&") if part and part.partition("=")[0] not in _OF_ANSWERS)
    if said and address:
        raise Invalid("The condition of a create stands in If-None-Exist or in the address, not in both.")
    return said or address
