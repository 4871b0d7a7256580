"""FHIR transaction interaction: all entries or none.

Spec: https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from chartloop.kernel import ids
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.errors import ChartloopError, Invalid
from fhir_server.auditing import refusals_audited
from fhir_server.committing import commit
from fhir_server.entry_request import EntryRequest, entry_request
from fhir_server.interactions.entry_reads import PLAINLY, Answer, Reading, answer_read, require_answer
from fhir_server.interactions.patch import require_patch
from fhir_server.interactions.update import require_update
from fhir_server.matching import criteria
from fhir_server.preparing import encode
from fhir_server.store import Also, Store, acting, require
from fhir_server.transaction_plan import Item, TransactionPlan, naming, refuse_doubles
from fhir_server.validation.bundles import BundleEntry, split_bundle
from fhir_server.writing import Batch


class _Head(msgspec.Struct):
    id: str = ""


ORDER: Final = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2}


def transaction(
    store: Store, scope: Scope, bundle: bytes | Mapping[str, Any], *, also: Also | None = None, reading: Reading = PLAINLY
) -> list[Answer]:
    """Process every entry, in the order DELETE, POST, PUT and PATCH, GET; the answers are in the order of the entries."""
    scope = acting(scope, "transaction")
    with refusals_audited(store, scope, "Bundle"):
        require(store, scope, "Bundle")
        split = split_bundle(encode(bundle))
        if split.type != "transaction":
            raise Invalid("The Bundle must be of type transaction.", code="value", expression="Bundle.type")
        requests = [_request(store, index, entry) for index, entry in enumerate(split.entries)]
        items = _items(store, scope, split.entries, requests)
        refuse_doubles(items)
        _require_answers(store, scope, requests, items, reading)
        done = commit(store, scope, partial(_prepare, store, scope, items), also) if items or also else {}
    return [
        _read(store, scope, index, request, split.entries[index], reading) if request.reads else done[index]
        for index, request in enumerate(requests)
    ]


def _require_answers(store: Store, scope: Scope, requests: Sequence[EntryRequest], items: Sequence[Item], reading: Reading) -> None:
    """Let a read that cannot be answered fail the whole, while nothing is stored yet."""
    written = frozenset(item.reference for item in items)
    for index, request in enumerate(requests):
        if request.reads:
            with naming(index):
                require_answer(store, scope, request, written, reading)


def _read(store: Store, scope: Scope, index: int, request: EntryRequest, entry: BundleEntry, reading: Reading) -> Answer:
    """Answer a read after the changes; they are stored by now, so that a failure is the answer of this entry alone."""
    try:
        with naming(index):
            return answer_read(store, scope, request, entry, reading)
    except ChartloopError as error:
        return error


def _prepare(store: Store, scope: Scope, items: Sequence[Item]) -> Batch:
    with store.db.read() as session:
        return TransactionPlan(store, scope, items, session).batch()


def _request(store: Store, index: int, entry: BundleEntry) -> EntryRequest:
    with naming(index):
        return entry_request(entry, store.base)


def _items(store: Store, scope: Scope, entries: Sequence[BundleEntry], requests: Sequence[EntryRequest]) -> list[Item]:
    items = []
    for index, (entry, request) in enumerate(zip(entries, requests, strict=True)):
        if request.reads:
            continue
        with naming(index):
            items.append(_item(store, scope, index, entry, request))
    return sorted(items, key=lambda item: (ORDER[item.request.method], item.index))


def _item(store: Store, scope: Scope, index: int, entry: BundleEntry, request: EntryRequest) -> Item:
    condition = criteria(store, scope, request.type, request.if_none_exist) if request.if_none_exist else None
    if request.query:
        condition = criteria(store, scope, request.type, request.query)
    id_ = request.id
    if request.method == "PUT":
        if request.query:
            require(store, acting(scope, "update"), request.type)
            id_ = _own_id(entry)
        else:
            require_update(store, acting(scope, "update"), request.type)
    elif request.method == "PATCH":
        require_patch(store, acting(scope, "patch"), request.type)
    else:
        require(store, acting(scope, "delete" if request.method == "DELETE" else "create"), request.type)
    return Item(index, entry, request, id_ or ids.public_id(), condition, fresh=not id_)


def _own_id(entry: BundleEntry) -> str:
    """Look which id a resource gives itself; validation judges it."""
    try:
        return msgspec.json.decode(entry.resource, type=_Head).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
