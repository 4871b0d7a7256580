"""Preconditions of writes: which versions If-Match accepts, and If-None-Match: * for creating only.

Spec: https://hl7.org/fhir/R4/http.html#concurrency, https://www.rfc-editor.org/rfc/rfc9110#section-13.1
"""

from __future__ import annotations

import re
from typing import Final

from chartloop.kernel.errors import Invalid, PreconditionFailed
from fhir_server.redaction import is_redacted_etag, redacted_etag
from fhir_server.store import Stored

IfMatch = int | frozenset[int] | None
"""The version that must be the current one, or several of which one must; none: no precondition."""

ANY_VERSION: Final[frozenset[int]] = frozenset()
"""If-Match: * accepts whatever version there is."""

_ETAG: Final = re.compile(r'(?:W/)?"([0-9]{1,9})"')
MAX_TAGS: Final = 100


def if_match_of(said: str) -> IfMatch:
    """Read If-Match; the tag of a redacted body is never current.

    Raises:
        Invalid: It names no version.
        PreconditionFailed: It names a part of a resource.
    """
    said = said.strip()
    if not said:
        return None
    if said == "*":
        return ANY_VERSION
    tags = said.split(",")
    if any(map(is_redacted_etag, tags)):
        raise PreconditionFailed("This tag belongs to a part of the resource; storing it would wipe the rest.")
    found = [_ETAG.fullmatch(tag.strip()) for tag in tags[:MAX_TAGS]]
    versions = frozenset(int(tag[1]) for tag in found if tag is not None)
    if None in found or len(tags) > MAX_TAGS:
        raise Invalid('If-Match names versions, such as W/"3".', code="value", expression="request.ifMatch")
    return next(iter(versions)) if len(versions) == 1 else versions


def create_only_of(said: str) -> bool:
    """Read If-None-Match of an update: * alone means that nothing may be there yet."""
    said = said.strip()
    if said not in ("", "*"):
        raise Invalid("If-None-Match of an update is *.", code="not-supported", expression="request.ifNoneMatch")
    return said == "*"


def etag(stored: Stored) -> str:
    """Entity tag of a version; a redacted body has one of its own."""
    return redacted_etag(stored.version, stored.body) if stored.redacted else f'W/"{stored.version}"'


def known_already(tag: str, updated: int, if_none_match: str, since: int | None) -> bool:
    """Whether a client has what it asks for: by its tags, compared weakly, or without any by the second of its last change."""
    if if_none_match:
        named = {part.strip().removeprefix("W/") for part in if_none_match.split(",")}
        return if_none_match.strip() == "*" or tag.removeprefix("W/") in named
    return since is not None and updated // 1_000_000 <= since // 1_000_000


def require_version(if_match: IfMatch, version: int, *, living: bool) -> None:
    """Refuse a write on top of another version than If-Match names; version 0: there is none."""
    if if_match is None:
        return
    wanted = frozenset({if_match}) if isinstance(if_match, int) else if_match
    if not (version in wanted if wanted else living):
        raise PreconditionFailed("The current version is not the one that If-Match names.")
