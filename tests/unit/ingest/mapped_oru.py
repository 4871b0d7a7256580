"""What an ORU becomes, for tests: changes by type, Observations, one value."""

from ingest.hl7v2.parser import parse
from ingest.mapping.mapper import message_to_changes
from tests.unit.ingest.messages_oru import ORC, obr, obx, oru


def mapped(text):
    changes, problems = message_to_changes(parse(text.encode()).message)
    by_type = {}
    for change in changes:
        by_type.setdefault(change.key.type, []).append(change)
    return by_type, [(problem.severity, problem.position) for problem in problems]


def observations(*segments, **options):
    found, problems = mapped(oru(ORC, *(segments if segments[0].startswith("OBR") else (obr(), *segments)), **options))
    return [change.resource for change in found.get("Observation", [])], problems


def observation(*segments):
    (found,), problems = observations(*segments)
    return found, problems


def value(text, kind, unit="mg/dL"):
    found, problems = observation(obx(value=text, kind=kind, unit=unit))
    values = {name: element for name, element in found.items() if name.startswith("value") or name == "component"}
    return values, problems
