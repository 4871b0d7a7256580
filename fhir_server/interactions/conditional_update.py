"""FHIR conditional update: of the one resource that matches, or a create where nothing does.

Spec: https://hl7.org/fhir/R4/http.html#cond-update
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from chartloop.kernel import ids
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.errors import ChartloopError, Conflict, Invalid
from fhir_server import rows
from fhir_server.auditing import refusals_audited
from fhir_server.committing import commit
from fhir_server.interactions.create import first_version
from fhir_server.interactions.update import next_version, there_already
from fhir_server.matching import criteria, single, verify_match
from fhir_server.preconditions import IfMatch, require_version
from fhir_server.preparing import encode, labelling, require_complete
from fhir_server.rows import Current
from fhir_server.search.tree import Query
from fhir_server.store import Also, Label, Store, Written, acting, require
from fhir_server.validation.resources import Validated, validate
from fhir_server.writing import Batch, Change


class Preconditions(NamedTuple):
    """If-Match, and If-None-Match: *."""

    if_match: IfMatch = None
    create_only: bool = False


def conditional_update(
    store: Store,
    scope: Scope,
    type_: str,
    query: str,
    body: bytes | Mapping[str, Any],
    *,
    if_match: IfMatch = None,
    create_only: bool = False,
    also: Also | None = None,
) -> Written:
    """Update the one match; create where there is none, under the body's id if this subject may assign ids."""
    scope = acting(scope, "update")
    with refusals_audited(store, scope, type_, query):
        require(store, scope, type_)
        raw = encode(body)
        validated = validate(raw, type_=type_)
        condition = criteria(store, scope, type_, query)
        before = Preconditions(if_match, create_only)
        written: Written = commit(store, scope, partial(_prepare, store, scope, validated, raw, condition, before), also)
        return written


def _other() -> ChartloopError:
    return Conflict("The condition matches nothing, and there is a resource with the body's id.")


def _prepare(store: Store, scope: Scope, validated: Validated, raw: bytes, condition: Query, before: Preconditions) -> Batch:
    with store.db.read(snapshot=True) as session:
        rid = single(session, store, scope, condition)
        match = "" if rid is None else rows.by_rids(session, [rid])[rid].id
        label = labelling(store, session)
        change, written = matched_version(store, scope, rows.one_by_one(session), match, ids.public_id(), validated, raw, before, label)
    verify = partial(verify_match, store=store, scope=scope, query=condition, found=rid)
    targets = [] if change else [f"{written.stored.type}/{written.stored.id}"]
    return Batch([change] if change else [], written, verify=verify, targets=targets)


def matched_version(
    store: Store,
    scope: Scope,
    current: Current,
    match: str,
    fresh: str,
    validated: Validated,
    raw: bytes,
    before: Preconditions,
    label: Label,
) -> tuple[Change | None, Written]:
    """Prepare what a conditional update stores.

    Args:
        store: The store.
        scope: Who updates.
        current: Finds the current version.
        match: Id of the one match, "" where nothing matches.
        fresh: Id of a resource that is made without one in its body.
        validated: What is to be stored.
        raw: The same as bytes.
        before: Preconditions.
        label: Labels what is stored.
    """
    require_complete(validated.resource)
    if match and before.create_only:
        raise there_already()
    if match and validated.id not in ("", match):
        raise Invalid("The body's id is not the id of the match.", expression=f"{validated.type}.id")
    if not match:
        require_version(before.if_match, 0, living=False)
    if not match and not validated.id:
        creating = acting(scope, "create")
        require(store, creating, validated.type)
        return first_version(store, creating, validated, raw, fresh, label)
    taken = None if match else _other
    return next_version(store, scope, current, match or validated.id, validated, raw, before.if_match, label, taken=taken)
