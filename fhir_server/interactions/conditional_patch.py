"""FHIR conditional patch: of the one resource that matches.

Spec: https://hl7.org/fhir/R4/http.html#patch
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.errors import NotFound
from fhir_server import rows
from fhir_server.auditing import refusals_audited
from fhir_server.committing import commit
from fhir_server.interactions.patch import patch_batch, require_patch
from fhir_server.matching import criteria, single, verify_match
from fhir_server.patching.application import Patch
from fhir_server.preconditions import IfMatch
from fhir_server.search.tree import Query
from fhir_server.store import Also, Store, Written, acting
from fhir_server.writing import Batch


def conditional_patch(
    store: Store, scope: Scope, type_: str, query: str, read: Callable[[], Patch], *, if_match: IfMatch = None, also: Also | None = None
) -> Written:
    """Patch the one match; NotFound where there is none."""
    scope = acting(scope, "patch")
    with refusals_audited(store, scope, type_, query):
        require_patch(store, scope, type_)
        change = read()
        condition = criteria(store, scope, type_, query)
        written: Written = commit(store, scope, partial(_prepare, store, scope, condition, change, if_match), also)
        return written


def _prepare(store: Store, scope: Scope, condition: Query, change: Patch, if_match: IfMatch) -> Batch:
    with store.db.read(snapshot=True) as session:
        rid = single(session, store, scope, condition)
        if rid is None:
            raise NotFound
        id_ = rows.by_rids(session, [rid])[rid].id
        batch = patch_batch(store, scope, session, condition.type, id_, change, if_match)
    batch.verify = partial(verify_match, store=store, scope=scope, query=condition, found=rid)
    return batch
