"""A grant as SQL: the row of table resource under alias {r} has one for this subject, now.

What changes from request to request (the time, the session) is left as a slot, so that the text and its other parameters can be kept.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from chartloop.kernel.access.grants import ASSIGNMENT, CARE, FACTS, GLASS, SAID_BY_PATIENTS
from chartloop.kernel.access.purposes import kinds_of
from chartloop.kernel.access.rows import RowFilter
from chartloop.kernel.access.subject import Subject


class Slot(Enum):
    """A parameter that is filled in when the filter is used."""

    NOW = "now"
    SESSION = "session"
    CLIENT = "client"


_KINDS: Final = ", ".join(map(str, sorted(SAID_BY_PATIENTS)))


def compile_fact(name: str, subject: Subject, *, version_labels: bool) -> RowFilter:
    """Write the condition under which an attribute named in `FACTS` is true.

    The first EXISTS asks nothing of the row, so both databases answer it once a statement: where nobody ever said such a thing, rows cost nothing.
    """
    kind = FACTS[name]
    here = f"g.kind = {kind} AND {_PATIENT.format(g='g')} AND g.starts <= ? AND g.ends > ?"
    now: tuple[object, ...] = (Slot.NOW, Slot.NOW)
    if kind == CARE:
        return _some(kind, f"{here} AND g.actor <> '' AND g.actor = ?", (*now, subject.user))
    if kind == GLASS:
        more = "g.actor <> '' AND g.actor = ? AND g.session <> '' AND g.session = ? AND g.client = ?"
        return _some(kind, f"{here} AND {more}", (*now, subject.user, Slot.SESSION, Slot.CLIENT))
    said, params = _said("g", subject, version_labels=version_labels)
    if kind == ASSIGNMENT:
        return _some(kind, f"{here} AND {said}", (*now, *params))
    inner, within = _said("h", subject, version_labels=version_labels)
    back = (
        f"NOT EXISTS (SELECT 1 FROM access_grant h WHERE h.source = g.source AND h.parent = g.node AND h.kind IN ({_KINDS}) "
        f"AND {_PATIENT.format(g='h')} AND h.starts <= ? AND h.ends > ? AND {inner})"
    )
    return _some(kind, f"{here} AND {said} AND {back}", (*now, *params, *now, *within))


_PATIENT: Final = "{g}.patient = coalesce({{r}}.patient, '') AND {g}.patient <> ''"


def _some(kind: int, condition: str, params: tuple[object, ...]) -> RowFilter:
    found = f"EXISTS (SELECT 1 FROM access_grant g WHERE {condition})"
    return RowFilter(f"(EXISTS (SELECT 1 FROM access_grant k WHERE k.kind = {kind}) AND {found})", params)


def _said(alias: str, subject: Subject, *, version_labels: bool) -> tuple[str, tuple[object, ...]]:
    """What a grant may ask of actor, purpose, type, target and label."""
    labelled = f"EXISTS (SELECT 1 FROM resource_label y WHERE y.rid = {{r}}.rid AND y.label = {alias}.label)"
    if version_labels:
        labelled += f" OR EXISTS (SELECT 1 FROM version_label y WHERE y.rid = {{v}}.rid AND y.version = {{v}}.version AND y.label = {alias}.label)"
    text = (
        f"{alias}.actor IN ('', ?) AND {alias}.purpose IN ('', ?, ?) AND {alias}.type_id IN (0, {{r}}.type_id) "
        f"AND {alias}.target IN ('', {{r}}.fhir_id) AND ({alias}.label = 0 OR {labelled})"
    )
    return text, (subject.user, *kinds_of(subject.purpose))


Slots = tuple[tuple[int, Slot], ...]
"""Where the slots of a filter are among its parameters."""


def slots_of(row_filter: RowFilter) -> Slots:
    """Find the slots of a filter."""
    return tuple((place, each) for place, each in enumerate(row_filter.params) if isinstance(each, Slot))


def fill(row_filter: RowFilter, slots: Slots, subject: Subject, now: int) -> RowFilter:
    """Put the moment and the session into a filter."""
    params = list(row_filter.params)
    for place, slot in slots:
        params[place] = now if slot is Slot.NOW else subject.session if slot is Slot.SESSION else subject.client
    return row_filter._replace(params=tuple(params))
