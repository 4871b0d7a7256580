"""ORU R01: results of orders, by patient.

Spec: https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-message-oru-r01-to-bundle.html
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from ingest.hl7v2.problem import REQUIRED_FIELD
from ingest.mapping.change import Change, Key, reference
from ingest.mapping.context import MappingContext
from ingest.mapping.datatypes import problem
from ingest.mapping.encounter import pv1_to_encounter
from ingest.mapping.observation import Draft, instance_identifier, obx_to_draft
from ingest.mapping.observation_category import VITAL_SIGNS
from ingest.mapping.observation_panel import HALVES, PANEL, with_blood_pressure
from ingest.mapping.order import Order, PatientResults, patients_of
from ingest.mapping.patient import pid_to_patient
from ingest.mapping.report import obr_to_diagnostic_report
from ingest.mapping.result_identity import OrderIdentity
from ingest.mapping.result_state import Statement


def map_oru(context: MappingContext) -> None:
    """Add every change of an ORU message, patient by patient; the visit and the patient are made if they are not known yet."""
    for group in patients_of(context.message):
        _patient_results(context.about(group.message), group)


def _patient_results(context: MappingContext, group: PatientResults) -> None:
    patient = pid_to_patient(context, ensure=True)
    if patient is None:
        return
    encounter = pv1_to_encounter(context, patient, ensure=True)
    subject = {"subject": reference(patient), **({"encounter": reference(encounter)} if encounter else {})}
    for note in group.notes:
        context.problems.append(problem(note, 3, "a note about the patient is not mapped"))
    for order in group.orders:
        identity = OrderIdentity(context, patient, order)
        results = _observations(context, order, identity, subject)
        if order.request is not None:
            obr_to_diagnostic_report(context, order, order.request, identity, subject, results)


def _observations(context: MappingContext, order: Order, identity: OrderIdentity, subject: dict[str, Any]) -> list[Key]:
    """Add the observations of one order; give those that its report lists: a withdrawn one is listed only if it was before."""
    drafts = []
    for result in order.results:
        draft = obx_to_draft(context, order, result)
        if draft is not None:
            drafts.append(draft)
        elif order.request is None:
            context.problems.append(problem(result.obx, 3, "OBX-3 does not say what was observed, and there is no order: left out", REQUIRED_FIELD))
    drafts = with_blood_pressure(drafts)
    listed = []
    for draft, key in zip(drafts, _keys(context, drafts, identity), strict=True):
        panel = identity.observation(PANEL, draft.sub_id, draft.time) if draft.loinc in HALVES else None
        _add(context, draft, key, subject, panel)
        if draft.content:
            listed.append(key)
    return listed


def _keys(context: MappingContext, drafts: list[Draft], identity: OrderIdentity) -> list[Key]:
    """Identities: by time where it tells two of the same code and sub-id apart, and by their order where nothing does."""
    times: dict[tuple[str, str], set[str]] = defaultdict(set)
    for draft in drafts:
        times[draft.code, draft.sub_id].add(draft.time)
    keys: list[Key] = []
    taken: set[Key] = set()
    for draft in drafts:
        timed = draft.category == VITAL_SIGNS or not identity.number or len(times[draft.code, draft.sub_id]) > 1
        key = first = identity.observation(draft.code, draft.sub_id, draft.time if timed else "")
        number = 1
        while key in taken or context.holds(key):
            number += 1
            key = Key(first.type, first.system, f"{first.value}#{number}")
        taken.add(key)
        keys.append(key)
    return keys


def _add(context: MappingContext, draft: Draft, key: Key, subject: dict[str, Any], panel: Key | None) -> None:
    if not draft.time and draft.content:
        context.problems.append(problem(draft.segment, 14, "none of OBX-14, OBR-7 and SPM-17 says when this was observed", REQUIRED_FIELD))
    identifiers = [key.identifier, *instance_identifier(draft.segment)]
    resource = {"resourceType": "Observation", "identifier": identifiers, "status": draft.status, **draft.body, **subject}
    statement = Statement(draft.status, draft.content, "OBX", draft.segment.occurrence, 11, wipes=draft.withdrawn)
    context.add(Change(key, resource, part_of=panel, statement=statement))
