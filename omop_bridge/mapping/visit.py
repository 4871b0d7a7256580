"""Encounter to visit_occurrence; Organization to care_site.

An Encounter that has begun and not ended ends, for the table that requires an end, on the day it began; the type concept then is the
one of an algorithm, not of the record (f2o-071). When it is finished the row says what the record says. Visits are not rolled up.

Spec: https://ohdsi.github.io/CommonDataModel/cdm54.html#visit_occurrence
"""

from __future__ import annotations

from typing import Any

from omop_bridge.concepts import NO_CONCEPT, TYPE_ALGORITHM, TYPE_EHR_ENCOUNTER
from omop_bridge.mapping.moments import Moment, ended, to_moment, why_not
from omop_bridge.mapping.rows import Context, Element, Mapped, Row, excluded
from omop_bridge.mapping.screening import unrealised

_BEGUN = frozenset({"arrived", "triaged", "in-progress", "onleave", "finished"})


def encounter_to_rows(encounter: Element, context: Context) -> Mapped:
    """Write the visit."""
    if reason := unrealised(encounter, _BEGUN):
        return excluded(reason)
    period = encounter.get("period") or {}
    start = to_moment(period.get("start"))
    if start is None:
        return excluded(why_not(period.get("start")))
    said = ended(start, to_moment(period.get("end")))
    end = said or Moment(start.date)
    kind = str((encounter.get("class") or {}).get("code", ""))
    values: dict[str, Any] = {
        "visit_concept_id": context.coder.concepts.visit(kind),
        "visit_start_date": start.date,
        "visit_start_datetime": start.datetime,
        "visit_end_date": end.date,
        "visit_end_datetime": end.datetime,
        "visit_type_concept_id": TYPE_EHR_ENCOUNTER if said else TYPE_ALGORITHM,
        "care_site_id": context.care_site,
        "visit_source_value": kind or None,
        "visit_source_concept_id": NO_CONCEPT,
        **_place(encounter, "admitSource", "admitted_from", context),
        **_place(encounter, "dischargeDisposition", "discharged_to", context),
    }
    return Mapped((Row("visit_occurrence", "visit", values),))


def _place(encounter: Element, name: str, column: str, context: Context) -> dict[str, Any]:
    """The code as it came; FHIR's own codes have no standard concepts in the seed."""
    coded = context.coder.coded((encounter.get("hospitalization") or {}).get(name))
    if coded is None:
        return {}
    return {f"{column}_concept_id": coded.concept_id, f"{column}_source_value": coded.source_value}


def organization_to_rows(organization: Element, _context: Context) -> Mapped:
    """Write the place of care: its name, no identifier, no address."""
    return Mapped((Row("care_site", "care-site", {"care_site_name": organization.get("name"), "place_of_service_concept_id": NO_CONCEPT}),))
