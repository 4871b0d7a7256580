"""FHIR read interaction.

Spec: https://hl7.org/fhir/R4/http.html#read
"""

from __future__ import annotations

from chartloop.kernel.access.scope import Scope
from fhir_server.auditing import record, refusals_audited
from fhir_server.rows import current, living
from fhir_server.store import Store, Stored, acting, require
from fhir_server.subset_query import parse_subset
from fhir_server.subsetting import subset
from fhir_server.visible import visible


def read(store: Store, scope: Scope, type_: str, id_: str, query: str = "") -> Stored:
    """Return the current version, or the part of it that the query asks for, after the audit record of it is durable."""
    scope = acting(scope, "read")
    with refusals_audited(store, scope, f"{type_}/{id_}"):
        require(store, scope, type_)
        wanted = parse_subset(type_, query)
        row = living(current(store.db, type_, id_, store.access.row_filter(scope, type_)))
        stored = visible(store, scope, row)
    store.audit.access(record(scope, (f"{row.reference}/_history/{row.version}",), (row.patient,)))
    return subset(stored, wanted)
