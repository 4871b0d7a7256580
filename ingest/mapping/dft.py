"""DFT P03: charges of a visit.

Spec: https://www.hl7.eu/HL7v2x/v29/std29/ch06.html#Heading11 (DFT/ACK, event P03)
"""

from __future__ import annotations

from ingest.mapping.charge import ft1_to_charge_item
from ingest.mapping.context import MappingContext
from ingest.mapping.coverage import in1_to_coverage
from ingest.mapping.encounter import pv1_to_encounter
from ingest.mapping.patient import pid_to_patient


def map_dft(context: MappingContext) -> None:
    """Add every change of a DFT message; the visit and the patient are made if they are not known yet."""
    patient = pid_to_patient(context, ensure=True)
    if patient is None:
        return
    encounter = pv1_to_encounter(context, patient, ensure=True)
    for segment in context.message.all("FT1"):
        ft1_to_charge_item(context, patient, encounter, segment)
    for segment in context.message.all("IN1"):
        in1_to_coverage(context, patient, segment)
