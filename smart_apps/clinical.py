"""Clinical resources in words for a page: what was measured, how much, when. Pure, and total over what a server may send."""

from __future__ import annotations

import math
import re
from typing import Any

from smart_apps.systems import BASE

Resource = dict[str, Any]

MAX_TEXT = 300
MAX_COMPONENTS = 6
IMPLAUSIBLE = f"{BASE}/StructureDefinition/implausible"
_UNPRINTABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ANNOTATION = re.compile(r"\{([^{}]*)\}")
_PRETTY = {"[degF]": "°F", "Cel": "°C", "mm[Hg]": "mmHg", "/min": "/min", "kg/m2": "kg/m²", "{beats}/min": "/min", "%": "%"}


def text(value: Any, limit: int = MAX_TEXT) -> str:
    """Give a value as text that XML can hold, cut to a length; anything that is no text or number is empty."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    clean = _UNPRINTABLE.sub("", value if isinstance(value, str) else number(value)).strip()
    return clean if len(clean) <= limit else f"{clean[: limit - 1]}…"


def finite(value: Any) -> float | None:
    """Read a JSON number; None for what is none, or is beyond a float."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def number(value: Any) -> str:
    """Write a number as short as it can be said."""
    found = finite(value)
    return "" if found is None else f"{found:.6g}"


def mapping(value: Any) -> Resource:
    """Give a JSON object, or an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def listed(value: Any) -> list[Resource]:
    """Give the JSON objects of a list."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def first(value: Any) -> Resource:
    """Give the first JSON object of a list."""
    return next(iter(listed(value)), {})


def concept(value: Any) -> str:
    """Write a CodeableConcept or Coding."""
    coding = first(mapping(value).get("coding")) or mapping(value)
    return text(mapping(value).get("text")) or text(coding.get("display")) or text(coding.get("code"))


def coded(value: Any, system: str) -> str:
    """Give the code of a CodeableConcept in one system; empty when it has none there."""
    return next((text(c.get("code")) for c in listed(mapping(value).get("coding")) if c.get("system") == system), "")


def target(value: Any) -> str:
    """Give the target of a Reference."""
    return text(mapping(value).get("reference"))


def quantity(value: Any) -> str:
    """Write a Quantity with its comparator and unit."""
    said = mapping(value)
    amount = text(said.get("value"))
    unit = text(said.get("unit")) or text(said.get("code"))
    pretty = _PRETTY.get(unit) or _ANNOTATION.sub(lambda found: found[1].replace("_", " "), unit)
    return f"{text(said.get('comparator'))}{amount} {pretty}".strip() if amount else ""


def measured(observation: Resource) -> str:
    """Write what an Observation found; empty when it found nothing."""
    parts = [f"{concept(c.get('code'))} {_value(c)}".strip() for c in listed(observation.get("component"))[:MAX_COMPONENTS] if _value(c)]
    return _value(observation) or ", ".join(parts) or concept(observation.get("dataAbsentReason"))


def _value(holder: Resource) -> str:
    if "valueSampledData" in holder:
        data = text(mapping(holder["valueSampledData"]).get("data"), 1_000_000).split()
        return f"series of {len(data)} values" if data else ""
    if isinstance(holder.get("valueBoolean"), bool):
        return "yes" if holder["valueBoolean"] else "no"
    plain = next((text(holder[name]) for name in ("valueString", "valueInteger", "valueDateTime", "valueTime") if name in holder), "")
    return quantity(holder.get("valueQuantity")) or concept(holder.get("valueCodeableConcept")) or plain


def when(resource: Resource) -> str:
    """Give the instant a resource is about, as it was written."""
    for name in ("effectiveDateTime", "effectiveInstant", "onsetDateTime", "authoredOn", "occurrenceDateTime", "recordedDate", "dateAsserted", "issued", "date", "birthDate"):
        if text(resource.get(name)):
            return text(resource[name])
    period = mapping(resource.get("effectivePeriod")) or mapping(resource.get("onsetPeriod"))
    return text(period.get("end")) or text(period.get("start"))


def status(resource: Resource) -> str:
    """Give the status of a resource; a Condition has a clinical one."""
    return text(resource.get("status")) or concept(resource.get("clinicalStatus")) or concept(resource.get("verificationStatus"))


def implausible(observation: Resource) -> bool:
    """Tell whether a value was kept though it can hardly be right."""
    return any(e.get("url") == IMPLAUSIBLE and e.get("valueBoolean") is True for e in listed(observation.get("extension")))


def medication(resource: Resource) -> str:
    """Name what a MedicationRequest or MedicationStatement is of."""
    said = mapping(resource.get("medicationReference"))
    return concept(resource.get("medicationCodeableConcept")) or text(said.get("display")) or text(said.get("reference")) or "Medication"


def day(instant: str) -> str:
    """Cut an instant to its day."""
    return instant[:10]


def minute(instant: str) -> str:
    """Cut an instant to its minute."""
    return instant[:16].replace("T", " ")


def person(resource: Resource | None) -> str:
    """Write a name, family first."""
    name = first((resource or {}).get("name"))
    given = name.get("given")
    parts = [text(name.get("family")), " ".join(text(g) for g in given) if isinstance(given, list) else ""]
    return text(name.get("text")) or ", ".join(part for part in parts if part) or "Unnamed"
