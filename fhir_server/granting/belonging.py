"""Whose chart a resource belongs to that names no patient itself: a Provenance that of its targets, a Binary that of its security context.

Looked up where it is stored, because what they speak of may be stored in the same transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from chartloop.kernel.db import Session, Tx
from fhir_server.granting.relations import local
from fhir_server.type_ids import TYPE_IDS

if TYPE_CHECKING:
    from fhir_server.writing import Change

SPEAKING: Final = frozenset({"Provenance", "Binary"})
"""Types that belong to the patient of what they speak of."""

NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
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


def patient_of(tx: Session, speaks_of: Sequence[str], beside: Mapping[str, str] = NOTHING) -> str:
    """The one patient of everything that a resource speaks of, "" if there is none or several; `beside` has what is stored in the same transaction."""
    if len(speaks_of) > _MOST:
        return ""
    patients = {beside[each] if each in beside else _stored(tx, each) for each in speaks_of}
    return patients.pop() if len(patients) == 1 else ""


def _with_patient(tx: Tx, change: Change, beside: Mapping[str, str]) -> Change:
    found = patient_of(tx, change.speaks_of, beside)
    return change._replace(attributes=replace(change.attributes, patient=found)) if found else change


def _stored(tx: Session, reference: str) -> str:
    type_, _, id_ = reference.partition("/")
    row = tx.one("SELECT patient FROM resource WHERE type_id = ? AND fhir_id = ?", (TYPE_IDS.get(type_, 0), id_))
    return str(row[0] or "") if row else ""
