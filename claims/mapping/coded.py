"""Which notes a Claim was coded from, and in which version."""

from claims.mapping.element import Resource, extensions, number, reference
from claims.mapping.systems import BASE, CODED_NOTE

NOTE_VERSION = f"{BASE}/StructureDefinition/note-version"


def coded_notes(claim: Resource) -> frozenset[tuple[str, int]]:
    """Return (DocumentReference/id, version); the version stands in an extension or in the reference itself."""
    found = set()
    for extension in extensions(claim, CODED_NOTE):
        target = extension.get("valueReference") or {}
        note, _, version = reference(target).partition("/_history/")
        stated: Resource = next((e for e in target.get("extension") or [] if e.get("url") == NOTE_VERSION), {})
        value = number(stated.get("valueUnsignedInt", version or None))
        found.add((note, int(value) if value is not None else 0))
    return frozenset(found)
