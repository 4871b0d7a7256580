"""Condition to condition_occurrence, or to the table that its concept's domain names.

Only what is confirmed, or not said to be otherwise, is a row: refuted, provisional, differential and unconfirmed ones are counted as
left out. The guide puts some of these into observation with a qualifier; a reader of that table would take them for findings.

Spec: https://ohdsi.github.io/CommonDataModel/cdm54.html#condition_occurrence
"""

from __future__ import annotations

from omop_bridge.concepts import NO_CONCEPT, TYPE_EHR, TYPE_EHR_ENCOUNTER, TYPE_EHR_PROBLEM_LIST
from omop_bridge.mapping.happening import Happening
from omop_bridge.mapping.moments import element, ended, to_moment, why_not
from omop_bridge.mapping.route_by_domain import happening_to_rows
from omop_bridge.mapping.rows import Context, Element, Mapped, excluded
from omop_bridge.mapping.screening import NO_CODE, any_codes, codes, doubted

_DOUBTED = ("entered-in-error", "refuted", "unconfirmed", "provisional", "differential")


def condition_to_rows(condition: Element, context: Context) -> Mapped:
    """Write the condition: begun at its onset, else when it was recorded."""
    if reason := doubted(condition, _DOUBTED):
        return excluded(reason)
    coded = context.coder.coded(condition.get("code"))
    if coded is None:
        return excluded(NO_CODE)
    onset, _ = element(condition, "onset")
    start = to_moment(onset) or to_moment(condition.get("recordedDate"))
    if start is None:
        return excluded(why_not(onset or condition.get("recordedDate")))
    abated, abated_end = element(condition, "abatement")
    happening = Happening(
        "code",
        coded,
        start,
        _type(condition),
        "condition_occurrence",
        end=ended(start, to_moment(abated_end or abated)),
        visit=context.visit,
        more={"condition_occurrence": _status(condition)},
    )
    return Mapped(tuple(happening_to_rows(happening)))


def _status(condition: Element) -> dict[str, object]:
    status = next(iter(sorted(codes(condition.get("clinicalStatus")))), None)
    return {"condition_status_concept_id": NO_CONCEPT, "condition_status_source_value": status}


def _type(condition: Element) -> int:
    categories = any_codes(condition.get("category"))
    if "problem-list-item" in categories:
        return TYPE_EHR_PROBLEM_LIST
    return TYPE_EHR_ENCOUNTER if "encounter-diagnosis" in categories else TYPE_EHR
