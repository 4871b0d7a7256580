"""Take what a claim needs out of a FHIR resource; absent is empty, never an exception."""

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

Resource = Mapping[str, Any]


def identifier(resource: Resource, *systems: str) -> str:
    """Return the first identifier of one of these systems."""
    for found in resource.get("identifier") or []:
        if found.get("system") in systems and found.get("value"):
            return str(found["value"])
    return ""


def code(concept: Resource | None, systems: Iterable[str]) -> str:
    """Return the first code of one of these systems."""
    wanted = set(systems)
    for coding in (concept or {}).get("coding") or []:
        if coding.get("system") in wanted and coding.get("code"):
            return str(coding["code"])
    return ""


def any_code(concept: Resource | None) -> str:
    """Return the first code, whatever its system."""
    for coding in (concept or {}).get("coding") or []:
        if coding.get("code"):
            return str(coding["code"])
    return ""


def number(value: object) -> Decimal | None:
    """Return an exact number, however the reader of the JSON kept it."""
    if value is None or isinstance(value, bool):
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def money(resource: Resource | None) -> Decimal | None:
    """Return the value of a Money or Quantity."""
    return number((resource or {}).get("value"))


def reference(resource: Resource | None) -> str:
    """Return the literal reference."""
    return str((resource or {}).get("reference") or "")


def extensions(resource: Resource | None, url: str) -> list[Resource]:
    """Return the extensions with this url."""
    return [e for e in (resource or {}).get("extension") or [] if e.get("url") == url]


def day(value: object) -> str:
    """Return YYYYMMDD of a FHIR date or dateTime that names a day, else nothing."""
    text = str(value or "")[:10].replace("-", "")
    return text if len(text) == 8 and text.isdigit() else ""


def date(day_text: str) -> str:
    """Return the FHIR date of an X12 day."""
    return f"{day_text[:4]}-{day_text[4:6]}-{day_text[6:8]}" if len(day_text) >= 8 and day_text[:8].isdigit() else ""
