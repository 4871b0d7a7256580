"""FHIR batch interaction: every entry is judged and stored by itself.

Spec: https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.errors import ChartloopError, Invalid
from fhir_server.auditing import refusals_audited
from fhir_server.entry_request import EntryRequest, entry_request
from fhir_server.interactions.batch_writes import BatchWrites
from fhir_server.interactions.conditional_delete import conditional_delete
from fhir_server.interactions.conditional_patch import conditional_patch
from fhir_server.interactions.conditional_update import conditional_update
from fhir_server.interactions.create import create
from fhir_server.interactions.delete import delete
from fhir_server.interactions.entry_reads import PLAINLY, Answer, Reading, answer_read
from fhir_server.interactions.patch import patch
from fhir_server.interactions.update import update
from fhir_server.patching.documents import entry_patch
from fhir_server.preparing import encode
from fhir_server.store import Store, Written, acting, require
from fhir_server.transaction_plan import naming
from fhir_server.validation.bundles import BundleEntry, split_bundle


def batch(store: Store, scope: Scope, bundle: bytes | Mapping[str, Any], reading: Reading = PLAINLY) -> list[Answer]:
    """Process the entries in their order, creates and updates several at a time; a failure is the answer of its entry alone."""
    scope = acting(scope, "batch")
    with refusals_audited(store, scope, "Bundle"):
        require(store, scope, "Bundle")
        split = split_bundle(encode(bundle))
        if split.type != "batch":
            raise Invalid("The Bundle must be of type batch.", code="value", expression="Bundle.type")
    answers: dict[int, Answer] = {}
    writes = BatchWrites(store, scope, partial(_write, store, scope), answers)
    for index, entry in enumerate(split.entries):
        try:
            with naming(index):
                request = entry_request(entry, store.base)
        except ChartloopError as error:
            answers[index] = error
            continue
        if writes.takes(request):
            writes.add(index, entry, request)
        else:
            writes.store()
            answers[index] = _answer(store, scope, index, request, entry, reading)
    writes.store()
    return [answers[index] for index in range(len(split.entries))]


def _answer(store: Store, scope: Scope, index: int, request: EntryRequest, entry: BundleEntry, reading: Reading) -> Answer:
    try:
        with naming(index):
            return answer_read(store, scope, request, entry, reading) if request.reads else _write(store, scope, entry, request)
    except ChartloopError as error:
        return error


def _write(store: Store, scope: Scope, entry: BundleEntry, request: EntryRequest) -> Written:
    type_, id_, query, body, if_match = request.type, request.id, request.query, entry.resource, request.if_match
    if request.method == "POST":
        return create(store, scope, body, type_=type_, if_none_exist=request.if_none_exist)
    if request.method == "PUT":
        if query:
            return conditional_update(store, scope, type_, query, body, if_match=if_match, create_only=request.create_only)
        return update(store, scope, type_, id_, body, if_match=if_match, create_only=request.create_only)
    if request.method == "PATCH":
        read = partial(entry_patch, body)
        return conditional_patch(store, scope, type_, query, read, if_match=if_match) if query else patch(
            store, scope, type_, id_, read, if_match=if_match
        )
    if query:
        return conditional_delete(store, scope, type_, query, if_match=if_match)
    return delete(store, scope, type_, id_, if_match=if_match)
