"""FHIR vread interaction: a version is seen by who may see both its own labels and the current ones.

Spec: https://hl7.org/fhir/R4/http.html#vread
"""

from __future__ import annotations

from chartloop.kernel.access.scope import Scope
from fhir_server.auditing import record, refusals_audited
from fhir_server.rows import at_version, living
from fhir_server.store import Store, Stored, acting, require
from fhir_server.subset_query import parse_subset
from fhir_server.subsetting import subset
from fhir_server.visible import visible


def vread(store: Store, scope: Scope, type_: str, id_: str, version: int, query: str = "") -> Stored:
    """Return one version, or the part of it that the query asks for, after the audit record of it is durable."""
    scope = acting(scope, "vread")
    target = f"{type_}/{id_}/_history/{version}"
    with refusals_audited(store, scope, target):
        require(store, scope, type_)
        wanted = parse_subset(type_, query)
        row_filter = store.access.row_filter(scope, type_, version_labels=True)
        with store.db.read() as session:
            row = living(at_version(session, type_, id_, version, row_filter))
        stored = visible(store, scope, row)
    store.audit.access(record(scope, (target,), (row.patient,)))
    return subset(stored, wanted)
