"""Any message to the changes it asks for: by message type."""

from __future__ import annotations

from ingest.hl7v2.message import Message
from ingest.hl7v2.problem import UNSUPPORTED_MESSAGE
from ingest.mapping.adt import map_adt
from ingest.mapping.change import Mapped
from ingest.mapping.context import MappingContext
from ingest.mapping.dft import map_dft
from ingest.mapping.mdm import map_mdm
from ingest.mapping.oru import map_oru

_FAMILIES = {"ADT": map_adt, "DFT": map_dft, "MDM": map_mdm, "ORU": map_oru}


def message_to_changes(message: Message) -> Mapped:
    """Map one message. An error among the problems means that nothing may be written; warnings name what was left out."""
    context = MappingContext(message)
    family = _FAMILIES.get(message.type)
    if family is None:
        context.error(f"no mapping for message type {message.type[:3]!r}", "MSH", 1, 9, UNSUPPORTED_MESSAGE)
    else:
        family(context)
    return Mapped(tuple(context.changes), tuple(context.problems))
