"""What an HTTP request asks for besides its address: media types, Prefer, preconditions.

Spec: https://hl7.org/fhir/R4/http.html#mime-type
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

from chartloop.kernel.errors import Invalid, UnsupportedMedia
from fhir_server.http.outcome import NotAcceptable
from fhir_server.patching.application import unsupported
from fhir_server.patching.documents import FHIRPATH_PATCH, JSON_PATCH
from fhir_server.preconditions import IfMatch, create_only_of, if_match_of

FHIR_JSON: Final = "application/fhir+json; charset=utf-8"
_JSON: Final = frozenset({"application/fhir+json", "application/json", "json", "text/json"})
_ANY: Final = frozenset({"*/*", "application/*"})
FORM: Final = "application/x-www-form-urlencoded"


class Preferences(NamedTuple):
    """The Prefer header: what a write returns, and whether unknown parameters are ignored."""

    returns: str
    lenient: bool


def require_json_answer(environ: Mapping[str, Any]) -> None:
    """Refuse a request that accepts no JSON."""
    query = str(environ.get("QUERY_STRING", ""))
    format_ = dict(parse_qsl(query, keep_blank_values=True)).get("_format", "").replace(" ", "+") if query else ""
    if not _takes_json(format_ or str(environ.get("HTTP_ACCEPT", "") or "*/*")):
        raise NotAcceptable


@lru_cache(maxsize=1024)
def _takes_json(wanted: str) -> bool:
    kinds = {part.partition(";")[0].strip().lower() for part in wanted.split(",")}
    return bool(kinds & (_JSON | _ANY))


def require_json_body(environ: Mapping[str, Any]) -> None:
    """Refuse a body that does not say it is JSON in UTF-8."""
    kind, _, rest = str(environ.get("CONTENT_TYPE", "")).partition(";")
    charset = rest.strip().lower().replace('"', "")
    if kind.strip().lower() not in _JSON or charset not in ("", "charset=utf-8", "fhirversion=4.0"):
        raise UnsupportedMedia("The body must be application/fhir+json in UTF-8.")
    _require_plain(environ)


def _require_plain(environ: Mapping[str, Any]) -> None:
    if environ.get("HTTP_CONTENT_ENCODING", "identity") != "identity":
        raise UnsupportedMedia("A compressed body is not supported.")


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
    """Media type of a patch; a body that is none is refused."""
    kind = str(environ.get("CONTENT_TYPE", "")).partition(";")[0].strip().lower()
    if kind == JSON_PATCH:
        _require_plain(environ)
        return kind
    if kind not in _JSON:
        raise unsupported()
    require_json_body(environ)
    return FHIRPATH_PATCH


def if_none_exist(environ: Mapping[str, Any]) -> str:
    """Read If-None-Exist: search parameters, with or without a question mark or our own address in front."""
    header = str(environ.get("HTTP_IF_NONE_EXIST", "")).strip()
    query = header.partition("?")[2] if "?" in header else header
    if header and not query:
        raise Invalid("If-None-Exist needs search parameters.")
    return query
