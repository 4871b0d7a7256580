"""FHIR batch interaction: every entry is judged and stored by itself.

Spec: https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.errors import ChartloopError, Invalid
from fhir_server.auditing import refusals_audited
from fhir_server.entry_request import entry_request
from fhir_server.interactions.create import create
from fhir_server.interactions.delete import delete
from fhir_server.interactions.entry_reads import Answer, answer_read
from fhir_server.interactions.update import update
from fhir_server.preparing import encode
from fhir_server.store import Store, acting, require
from fhir_server.transaction_plan import naming
from fhir_server.validation_bundle import BundleEntry, split_bundle


def batch(store: Store, scope: Scope, bundle: bytes | Mapping[str, Any]) -> list[Answer]:
    """Process the entries one by one; a failure is the answer of its entry alone."""
    scope = acting(scope, "batch")
    with refusals_audited(store, scope, "Bundle"):
        require(store, scope, "Bundle")
        split = split_bundle(encode(bundle))
        if split.type != "batch":
            raise Invalid("The Bundle must be of type batch.", code="value", expression="Bundle.type")
    return [_answer(store, scope, index, entry) for index, entry in enumerate(split.entries)]


def _answer(store: Store, scope: Scope, index: int, entry: BundleEntry) -> Answer:
    try:
        with naming(index):
            request = entry_request(entry, store.base)
            if request.method == "POST":
                return create(store, scope, entry.resource, type_=request.type, if_none_exist=request.if_none_exist)
            if request.method == "PUT":
                return update(store, scope, request.type, request.id, entry.resource, if_match=request.if_match)
            if request.method == "DELETE":
                return delete(store, scope, request.type, request.id)
            return answer_read(store, scope, request)
    except ChartloopError as error:
        return error
