"""A disclosure: whether resources may be told to somebody outside, decided and recorded in the transaction that lets them go.

Spec: 45 CFR 164.528 (accounting), 164.522(a) (restrictions), 42 CFR 2.31 (consent)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from chartloop.kernel.access.rows import EVERYTHING
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.record import AuditRecord
from chartloop.kernel.db import Session, Tx
from fhir_server.rows import Row, current
from fhir_server.store import Store
from fhir_server.type_ids import TYPE_IDS

ACTION: Final = "disclose"
WORD: Final = "disclosure"


class Withheld(Exception):
    """What the policies do not let go; nothing was told to anybody."""

    def __init__(self, references: Iterable[str]) -> None:
        """Take the resources that are held back."""
        self.references = tuple(references)
        super().__init__("The policies hold back what was to be disclosed.")


def disclose(store: Store, tx: Tx, scope: Scope, recipient: Subject, references: Iterable[str], version: str) -> None:
    """Let resources go to a recipient, and record it.

    Args:
        store: The store.
        tx: Transaction that queues what is sent.
        scope: Who sends it.
        recipient: As whom it is decided: role, `user` ("Organization/9") and purpose of use.
        references: Everything that is told of, "Type/id"; what is not there is not told and not asked about.
        version: The version that is sent, "Claim/1/_history/3".

    Raises:
        Withheld: A policy does not let one of them go. The transaction must end; `withheld` records it.
    """
    rows = may_disclose(store, tx, scope, recipient, references)
    labels = sorted(frozenset().union(*(row.labels for row in rows)))
    said = _record(scope, recipient, (version, *(row.reference for row in rows if not version.startswith(f"{row.reference}/"))), rows)
    store.audit.change(tx, replace(said, reason=f"labels: {' '.join(labels)}" if labels else ""))


def may_disclose(store: Store, tx: Tx, scope: Scope, recipient: Subject, references: Iterable[str]) -> list[Row]:
    """Find what is told of, and see that all of it may go; nothing is recorded.

    Args:
        store: The store.
        tx: Transaction in which it is decided.
        scope: Who sends it.
        recipient: As whom it is decided.
        references: Everything that is told of.

    Raises:
        Withheld: A policy does not let one of them go.
    """
    asking = Scope(recipient, ACTION, scope.request)
    rows = [row for row in (_row(tx, reference) for reference in dict.fromkeys(references)) if row is not None]
    kept = [row.reference for row in rows if current(tx, row.type, row.id, store.access.row_filter(asking, row.type)) is None]
    if kept:
        raise Withheld(kept)
    return rows


def withheld(store: Store, scope: Scope, recipient: Subject, references: Iterable[str]) -> None:
    """Record what was held back, and which policies did it."""
    with store.db.read() as session:
        rows = [row for row in (_row(session, reference) for reference in references) if row is not None]
    asking = Scope(recipient, ACTION, scope.request)
    names = sorted({name for row in rows for name in (store.access.reasons(asking, row.attributes()).forbids or ("nothing permits it",))})
    said = _record(scope, recipient, tuple(row.reference for row in rows), rows)
    store.audit.access(replace(said, outcome="4", reason=f"withheld: {', '.join(names)}"))


def _row(tx: Session, reference: str) -> Row | None:
    type_, _, id_ = reference.partition("/")
    return current(tx, type_, id_, EVERYTHING) if type_ in TYPE_IDS else None


def _record(scope: Scope, recipient: Subject, targets: tuple[str, ...], rows: Iterable[Row]) -> AuditRecord:
    who = replace(scope.subject, purpose=recipient.purpose)
    patients = tuple(sorted({row.patient for row in rows if row.patient}))
    return AuditRecord("R", WORD, "0", who, (*targets, recipient.user), patients, request=scope.request)
