"""Whose chart a resource belongs to that names no patient itself: a Provenance that of its targets, a Binary that of its security context.

Looked up where it is stored, because what they speak of may be stored in the same transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from chartloop.kernel.db import Tx
from fhir_server.granting.relations import local
from fhir_server.type_ids import TYPE_IDS

if TYPE_CHECKING:
    from fhir_server.writing import Change

_MOST: Final = 50
"""A resource that speaks of more than so many belongs to nobody."""


def speaks_of(type_: str, resource: Mapping[str, Any], base: str) -> tuple[str, ...]:
    """References whose patient is the patient of the resource too."""
    if type_ == "Provenance":
        return tuple(dict.fromkeys(local(each, base) for each in resource.get("target", ())))[: _MOST + 1]
    return (local(resource.get("securityContext"), base),) if type_ == "Binary" and "securityContext" in resource else ()


def with_patients(tx: Tx, changes: Sequence[Change]) -> Sequence[Change]:
    """Give those changes their patient, if all that they speak of has one and the same."""
    if not any(change.speaks_of for change in changes):
        return changes
    beside = {change.reference: change.attributes.patient for change in changes}
    return [_with_patient(tx, change, beside) if change.speaks_of and not change.attributes.patient else change for change in changes]


def _with_patient(tx: Tx, change: Change, beside: Mapping[str, str]) -> Change:
    if len(change.speaks_of) > _MOST:
        return change
    patients = {beside[each] if each in beside else _stored(tx, each) for each in change.speaks_of}
    if len(patients) != 1 or not (found := patients.pop()):
        return change
    return change._replace(attributes=replace(change.attributes, patient=found))


def _stored(tx: Tx, reference: str) -> str:
    type_, _, id_ = reference.partition("/")
    row = tx.one("SELECT patient FROM resource WHERE type_id = ? AND fhir_id = ?", (TYPE_IDS.get(type_, 0), id_))
    return str(row[0]) if row else ""
