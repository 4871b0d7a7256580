"""Changes to Claim.diagnosis, pure: codes once, order kept, sequences without a gap.

Spec: https://hl7.org/fhir/R4/claim-definitions.html#Claim.diagnosis
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from claims.coding.body import code_in, extensions, reference
from claims.coding.note import Note
from claims.coding.systems import ICD_10_CM, NOTE_VERSION, SUGGESTION
from claims.mapping.systems import CODED_NOTE


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One code on a claim and the suggestion it came from ('' if a person found it)."""

    code: str
    display: str
    suggestion: str = ""


def claim_codes(claim: Mapping[str, Any]) -> list[str]:
    """Return the ICD-10-CM codes of a claim in order."""
    return [c for c in (code_in(d.get("diagnosisCodeableConcept"), ICD_10_CM) for d in claim.get("diagnosis", ())) if c]


def with_diagnoses(claim: Mapping[str, Any], *, put: Sequence[tuple[str, Diagnosis]] = (), taken_off: Sequence[str] = ()) -> dict[str, Any]:
    """Put diagnoses on and take them off.

    Args:
        claim: The claim.
        put: (suggestion to stand in for, diagnosis): a replacement takes the place of that suggestion's code; '' appends.
        taken_off: Suggestions whose codes leave the claim; codes without a suggestion are nobody's here and stay.

    Returns:
        The claim with each code once, the first place winning, and sequences from 1; item pointers follow their codes.
    """
    rows = [dict(d) for d in claim.get("diagnosis", ())]
    for instead_of, diagnosis in put:
        place = next((n for n, d in enumerate(rows) if instead_of and _suggestion(d) == instead_of), None)
        if place is None:
            rows.append(_row(diagnosis))
        elif code_in(rows[place].get("diagnosisCodeableConcept"), ICD_10_CM) != diagnosis.code:
            rows[place] = _row(diagnosis) | {k: rows[place][k] for k in ("sequence",) if k in rows[place]}
    rows = [d for d in rows if not (_suggestion(d) and _suggestion(d) in taken_off)]
    return _numbered(claim, _once(rows))


def _once(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for n, row in enumerate(rows):
        found.setdefault(code_in(row.get("diagnosisCodeableConcept"), ICD_10_CM) or f"row {n}", row)
    return list(found.values())


def _numbered(claim: Mapping[str, Any], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Number the rows and let the items point at the same diagnoses as before."""
    moved = {row["sequence"]: n for n, row in enumerate(rows, 1) if "sequence" in row}
    changed = {k: v for k, v in claim.items() if k != "diagnosis"}
    if rows:
        changed["diagnosis"] = [{**row, "sequence": n} for n, row in enumerate(rows, 1)]
    if "item" in changed:
        changed["item"] = [_pointing(item, moved) for item in changed["item"]]
    return changed


def _pointing(item: Mapping[str, Any], moved: Mapping[int, int]) -> dict[str, Any]:
    pointers = [moved[p] for p in item.get("diagnosisSequence", ()) if p in moved]
    return {**{k: v for k, v in item.items() if k != "diagnosisSequence"}, **({"diagnosisSequence": pointers} if pointers else {})}


def _row(diagnosis: Diagnosis) -> dict[str, Any]:
    coding = {"system": ICD_10_CM, "code": diagnosis.code, "display": diagnosis.display}
    origin = {"extension": [{"url": SUGGESTION, "valueString": diagnosis.suggestion}]} if diagnosis.suggestion else {}
    return {**origin, "diagnosisCodeableConcept": {"coding": [coding]}}


def _suggestion(row: Mapping[str, Any]) -> str:
    return next((str(e.get("valueString", "")) for e in extensions(row, SUGGESTION)), "")


def coded_notes(claim: Mapping[str, Any]) -> dict[str, int]:
    """Return the notes whose coding is finished on this claim, with the version that was coded."""
    found = {}
    for extension in extensions(claim, CODED_NOTE):
        value = extension.get("valueReference", {})
        found[reference(value)] = next((int(e.get("valueUnsignedInt", 0)) for e in extensions(value, NOTE_VERSION)), 0)
    return found


def with_coded_notes(claim: Mapping[str, Any], notes: Mapping[str, int] | Sequence[Note]) -> dict[str, Any]:
    """Mark notes as coded in a version."""
    added = dict(notes) if isinstance(notes, Mapping) else {n.reference: n.version for n in notes}
    marks = coded_notes(claim) | added
    others = [e for e in claim.get("extension", ()) if e.get("url") != CODED_NOTE]
    coded = [
        {"url": CODED_NOTE, "valueReference": {"extension": [{"url": NOTE_VERSION, "valueUnsignedInt": version}], "reference": note}}
        for note, version in sorted(marks.items())
    ]
    return {**claim, "extension": [*others, *coded]} if coded or others else dict(claim)
