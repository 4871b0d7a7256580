"""Procedure to procedure_occurrence, or to the table that its concept's domain names.

Spec: https://ohdsi.github.io/CommonDataModel/cdm54.html#procedure_occurrence
"""

from __future__ import annotations

from omop_bridge.concepts import TYPE_EHR
from omop_bridge.mapping.happening import Happening
from omop_bridge.mapping.moments import element, ended, to_moment, why_not
from omop_bridge.mapping.route_by_domain import happening_to_rows
from omop_bridge.mapping.rows import Context, Element, Mapped, excluded
from omop_bridge.mapping.screening import NO_CODE, unrealised


def procedure_to_rows(procedure: Element, context: Context) -> Mapped:
    """Write a procedure that was completed."""
    if reason := unrealised(procedure, {"completed"}):
        return excluded(reason)
    coded = context.coder.coded(procedure.get("code"))
    if coded is None:
        return excluded(NO_CODE)
    began, finished = element(procedure, "performed")
    start = to_moment(began)
    if start is None:
        return excluded(why_not(began))
    happening = Happening("code", coded, start, TYPE_EHR, "procedure_occurrence", end=ended(start, to_moment(finished)), visit=context.visit)
    return Mapped(tuple(happening_to_rows(happening)))
