"""FHIR patch interaction: JSON Patch and FHIRPath Patch, by id.

Spec: https://hl7.org/fhir/R4/http.html#patch
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Session
from chartloop.kernel.errors import Forbidden, Gone, NotFound
from fhir_server.absent import decide_on_nothing
from fhir_server.auditing import refusals_audited
from fhir_server.committing import commit
from fhir_server.interactions.update import next_version
from fhir_server.patching.application import Patch, patched_body
from fhir_server.preconditions import IfMatch, require_version
from fhir_server.preparing import labelling, require_whole
from fhir_server.rows import Current, one_by_one
from fhir_server.store import Also, Label, Store, Written, acting, require
from fhir_server.validation.resources import Validated, validate
from fhir_server.writing import Batch, Change, Stale


def patch(
    store: Store, scope: Scope, type_: str, id_: str, read: Callable[[], Patch], *, if_match: IfMatch = None, also: Also | None = None
) -> Written:
    """Store what a patch makes of the current version; a patch that changes nothing makes no version."""
    scope = acting(scope, "patch")
    with refusals_audited(store, scope, f"{type_}/{id_}"):
        require_patch(store, scope, type_)
        change = read()
        written: Written = commit(store, scope, partial(_prepare, store, scope, type_, id_, change, if_match), also)
        return written


def require_patch(store: Store, scope: Scope, type_: str) -> None:
    """Refuse who may not patch this type, or not read it: a patch tells what it finds."""
    require(store, scope, type_)
    require(store, acting(scope, "read"), type_)


def _prepare(store: Store, scope: Scope, type_: str, id_: str, change: Patch, if_match: IfMatch) -> Batch:
    with store.db.read() as session:
        return patch_batch(store, scope, session, type_, id_, change, if_match)


def patch_batch(store: Store, scope: Scope, session: Session, type_: str, id_: str, change: Patch, if_match: IfMatch) -> Batch:
    """Prepare the version that a patch makes; none if nothing changes."""
    current = one_by_one(session)
    outcome = patched(store, scope, current, type_, id_, change, if_match)
    version, written = patched_version(store, scope, current, outcome, labelling(store, session))
    return Batch([version], written) if version else Batch([], written, targets=[f"{type_}/{id_}"])


class Patched(NamedTuple):
    """What a patch makes of a version."""

    validated: Validated
    body: bytes
    version: int


def patched_version(store: Store, scope: Scope, current: Current, outcome: Patched, label: Label) -> tuple[Change | None, Written]:
    """Prepare the version that stores what was patched.

    Raises:
        Stale: Somebody else stored a version since: the patch has to be applied to that one.
    """
    change, written = next_version(store, scope, current, outcome.validated.id, outcome.validated, outcome.body, None, label)
    if (change.version - 1 if change else written.stored.version) != outcome.version:
        raise Stale
    return change, written


def patched(
    store: Store, scope: Scope, current: Current, type_: str, id_: str, change: Patch, if_match: IfMatch
) -> Patched:
    """Apply a patch to the current version and validate what comes of it, as a whole.

    Who sees a part of a resource cannot patch it: a test, a copy or a failing path would tell what the rest says.
    """
    old = current(type_, id_)
    reading = acting(scope, "read")
    if old is None:
        decide_on_nothing(store, type_, reading)
    if old is None or not store.access.decides(reading, old.attributes()):
        raise NotFound
    if old.deleted:
        raise Gone
    if not store.access.decides(scope, old.attributes()):
        raise Forbidden
    if store.access.elements(reading, old.attributes()) is not None:
        raise Forbidden("Who sees a part of a resource cannot patch it.")
    require_version(if_match, old.version, living=True)
    body = patched_body(store.codec.unpack(old.codec, old.dict_id, old.packed, old.place), change)
    validated = validate(body, type_=type_)
    require_whole(validated.resource, id_)
    return Patched(validated, body, old.version)
