"""What makes a result the same one in every message.

A report is its order (filler order number, else placer order number) and its service (OBR-4). An observation is the same with OBX-3 and
OBX-4. Where a sender numbers no orders, and for vital signs, which are measured again and again under one order, the time of the
observation is a part of it. The patient always is: a message about one patient never touches another one's results.
"""

from __future__ import annotations

from hashlib import sha256

from ingest.hl7v2.message import Repetition
from ingest.mapping.change import Key
from ingest.mapping.context import MappingContext
from ingest.mapping.datatypes import clean
from ingest.mapping.order import Order
from ingest.mapping.systems import BASE, LOINC, coding_system

_DIGITS = 12


class OrderIdentity:
    """Identity of one order of one patient."""

    def __init__(self, context: MappingContext, patient: Key, order: Order) -> None:
        """Read the numbers of the order and its service."""
        self._facility = context.facility_name
        self._patient = sha256(f"{patient.system}|{patient.value}".encode()).hexdigest()[:_DIGITS]
        self._control_id = clean(context.message.control_id)
        self.filler, self.placer = order_number(order, 3), order_number(order, 2)
        self.number = _named(self.filler) or _named(self.placer)
        self.service = _service(order)
        self._time = clean(order.request.value(7)) if order.request is not None else ""

    def report(self) -> Key:
        """Key of the DiagnosticReport."""
        number = self.number or f"@{self._time or self._control_id}"
        return Key("DiagnosticReport", f"{BASE}/report/{self._facility}", f"{number}/{self.service}/{self._patient}")

    def observation(self, code: str, sub_id: str, time: str) -> Key:
        """Key of an Observation; `time` is empty where it is no part of its identity."""
        when = f"@{time or self._time or self._control_id}" if time or not self.number else ""
        parts = (self.number, self.service, code, f"{sub_id}{when}", self._patient)
        return Key("Observation", f"{BASE}/observation/{self._facility}", "/".join(parts))


def order_number(order: Order, field: int) -> Repetition | None:
    """Placer (field 2) or filler (field 3) order number of OBR, else of ORC."""
    for segment in (order.request, order.control):
        if segment is not None and clean(segment.value(field)):
            return segment.first(field)
    return None


def _named(number: Repetition | None) -> str:
    """An entity identifier with the authority that gave it."""
    if number is None:
        return ""
    authority = clean(number.value(2)) or clean(number.value(3))
    return f"{authority}:{clean(number.value(1))}" if authority else clean(number.value(1))


def _service(order: Order) -> str:
    """OBR-4 by its LOINC code, else its first one; below one of several results (OBR-26) with its code and sub-id."""
    if order.request is None:
        return ""
    field, parent = order.request.first(4), order.request.first(26)
    codes = [(clean(field.value(start)), coding_system(clean(field.value(start + 2)))) for start in (1, 4)]
    named = next((code for code, system in codes if code and system == LOINC), "") or codes[0][0] or codes[1][0] or clean(field.value(2))
    above = clean(parent.value(2))
    return f"{named}<{clean(parent.value(1))}.{above}" if above else named
