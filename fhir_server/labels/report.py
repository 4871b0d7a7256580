"""What in the store is labelled, and why: for whoever answers for the rules. Element paths and rules, no word of a record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from chartloop.kernel.access.scope import Scope
from fhir_server import rows
from fhir_server.auditing import record
from fhir_server.labels.reasons import Reason, reasons
from fhir_server.labels.rules import Rules
from fhir_server.preparing import lookup
from fhir_server.rows import Row
from fhir_server.store import LabelsOf, Store

_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Labelled:
    """One resource with its labels, and the reasons that its current version has for them.

    Attributes:
        reference: Type/id.
        labels: All it carries.
        reasons: Why; a label without one comes from an earlier version, and stays.
    """

    reference: str
    labels: tuple[str, ...]
    reasons: tuple[Reason, ...]

    @property
    def kept(self) -> tuple[str, ...]:
        """Labels that only an earlier version had a reason for."""
        return tuple(sorted(set(self.labels) - {reason.label for reason in self.reasons}))


def labelled(store: Store, rules: Rules, scope: Scope, patient: str = "") -> Iterator[Labelled]:
    """Yield every labelled resource, or those of one patient ("Patient/1"); recorded before the first one leaves."""
    where, params = ("AND r.patient = ?", (patient,)) if patient else ("", ())
    sql = f"SELECT DISTINCT r.rid FROM resource_label l CROSS JOIN resource r WHERE r.rid = l.rid AND r.deleted = 0 {where} ORDER BY r.rid"
    with store.db.read() as session:
        found = [int(row[0]) for row in session.all(sql, params)]
    store.audit.access(record(scope, ("resource_label",), (patient,), query="labels"))
    for start in range(0, len(found), _AT_ONCE):
        with store.db.read() as session:
            stored = lookup(store, session)
            part = [_explained(store, rules, row, stored) for row in rows.by_rids(session, found[start : start + _AT_ONCE]).values()]
        yield from part


def _explained(store: Store, rules: Rules, row: Row, stored: LabelsOf) -> Labelled:
    resource = msgspec.json.decode(store.codec.unpack(row.codec, row.dict_id, row.packed, row.place))
    found = dict.fromkeys(reasons(rules, row.type, resource, stored))
    return Labelled(row.reference, tuple(sorted(row.labels)), tuple(found))
