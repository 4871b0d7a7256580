"""What becomes of a patient's rows when the patient permits or denies something: rows that were taken before go, and come back with the permission.

Spec: 45 CFR 164.508(b)(5) (an authorization may be revoked)
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Database
from fhir_server.repository import Repository
from omop_bridge.lineage import Reference, dependents_of, version_of
from omop_bridge.mapping.resource import FOLLOWED, WITHOUT_PERSON

CHANGED: Final = "ConsentChanged"
_PATIENT: Final = "Patient"
_PAGE: Final = 500


def unsettled(repository: Repository, scope: Scope, lineage: Database, patient: Reference) -> list[Reference]:
    """Find the resources of a patient that are known and may not be seen any more, and those that may be seen and are not known.

    Args:
        repository: The door.
        scope: Who reads, as whom nothing that was denied for research is seen.
        lineage: What is known.
        patient: Whose.
    """
    with lineage.read() as session:
        known = {reference for reference in dependents_of(session, [patient]) if reference.type != _PATIENT}
        known |= {patient} if version_of(session, patient) else set()
    return sorted(known ^ _visible(repository, scope, patient.id))


def _visible(repository: Repository, scope: Scope, patient: str) -> set[Reference]:
    asked = [(type_, f"patient={quote(patient)}") for type_ in FOLLOWED if type_ not in WITHOUT_PERSON] + [(_PATIENT, f"_id={quote(patient)}")]
    return {Reference(stored.type, stored.id) for type_, query in asked for stored in repository.all(scope, type_, f"{query}&_count={_PAGE}")}
