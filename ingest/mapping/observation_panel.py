"""Systolic and diastolic pressure of one moment become one blood pressure panel.

Spec: https://hl7.org/fhir/R4/bp.html
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from ingest.mapping.datatypes import compact
from ingest.mapping.observation import Draft
from ingest.mapping.result_state import FINAL, less_finished
from ingest.mapping.systems import LOINC

SYSTOLIC = "8480-6"
DIASTOLIC = "8462-4"
HALVES = frozenset({SYSTOLIC, DIASTOLIC})
PANEL = "85354-9"
_CODE = {"coding": [{"system": LOINC, "code": PANEL, "display": "Blood pressure panel with all children optional"}]}
_OF_COMPONENT = ("code", "valueQuantity", "valueString", "valueRange", "valueRatio", "dataAbsentReason", "interpretation", "referenceRange")
_LISTS = ("performer", "note")


def with_blood_pressure(drafts: list[Draft]) -> list[Draft]:
    """The observations of one order, those of one blood pressure paired by time; a half without its other half stays single.

    Of several at one time those with the same sub-id belong together. An empty heading of a pair (85354-9 without a value) goes.
    """
    panels: dict[int, Draft] = {}
    gone: set[int] = set()
    for place in (lambda draft: (draft.time, draft.sub_id), lambda draft: (draft.time, "")):
        for upper, lower in _pairs([draft for draft in drafts if id(draft) not in gone and id(draft) not in panels], place):
            panels[id(upper)] = _panel(upper, lower)
            gone.add(id(lower))
            gone |= {id(draft) for draft in drafts if draft.loinc == PANEL and draft.time == upper.time and "dataAbsentReason" in draft.body}
    return [panels.get(id(draft), draft) for draft in drafts if id(draft) not in gone]


def _pairs(drafts: list[Draft], place: Callable[[Draft], tuple[str, str]]) -> Iterator[tuple[Draft, Draft]]:
    """Systolic and diastolic halves at the same place, in their order."""
    halves: dict[tuple[str, str], tuple[list[Draft], list[Draft]]] = defaultdict(lambda: ([], []))
    for draft in drafts:
        if draft.loinc in HALVES:
            halves[place(draft)][draft.loinc == DIASTOLIC].append(draft)
    for systolic, diastolic in halves.values():
        yield from zip(systolic, diastolic, strict=False)


def _panel(systolic: Draft, diastolic: Draft) -> Draft:
    """One observation; of two parts in different states the panel has that of the part which has come less far."""
    parts = [part for part in (systolic, diastolic) if not part.withdrawn] or [systolic, diastolic]
    body = {name: value for name, value in parts[0].body.items() if name not in _OF_COMPONENT and name != "component"}
    for name in _LISTS:
        values: list[Any] = []
        for part in parts:
            values += [value for value in part.body.get(name, []) if value not in values]
        body[name] = values
    body |= {"code": _CODE, "component": [_component(part) for part in parts]}
    status = parts[0].status if len(parts) == 1 else less_finished(systolic.status, diastolic.status)
    if len(parts) == 1 and status == FINAL:
        status = "corrected"  # the other half was withdrawn: the panel is not what it was
    content = any(part.content for part in parts)
    return Draft(systolic.segment, PANEL, PANEL, systolic.sub_id, systolic.category, status, compact(body), content, all(part.withdrawn for part in parts))


def _component(part: Draft) -> dict[str, Any]:
    return _of_component(part.body)


def _of_component(body: dict[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in _OF_COMPONENT if name in body}


def into_panel(panel: dict[str, Any], half: dict[str, Any], *, withdrawn: bool) -> dict[str, Any]:
    """The panel with a half that was sent again alone, in the place where it was; a withdrawn half leaves the panel."""
    code = _loinc(half)
    component = [] if withdrawn else [_of_component(half)]
    stored: list[dict[str, Any]] = panel.get("component", [])
    place = next((number for number, each in enumerate(stored) if _loinc(each) == code), len(stored))
    return {**panel, "component": [*stored[:place], *component, *stored[place + 1 :]]}


def _loinc(coded: dict[str, Any]) -> str:
    return next((str(coding["code"]) for coding in coded.get("code", {}).get("coding", []) if coding.get("system") == LOINC), "")
