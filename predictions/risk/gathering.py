"""Read one patient's chart through the door: one read and five searches, each in the audit log; none of them sees a labelled row.

Where a prescription refers to a Medication, one search more finds what it is.

Values that come often (blood pressure) are searched apart from values that come seldom, so that a week of telemetry does not hide last
year's cholesterol; a search goes on to its next page only while a value is still unseen, and not past the tenth.
"""

from __future__ import annotations

from collections.abc import Iterator

from chartloop.kernel import clock
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.errors import Gone, NotFound
from fhir_server.repository import Repository
from fhir_server.store import Stored
from predictions.risk import codes
from predictions.risk import features as f
from predictions.risk.features import Features
from predictions.risk.reading import DAY_US, VALID, Entry, Limits, chart_to_features, medication_id, valid_values, with_medication
from predictions.risk.systems import LOINC

PAGE = 100
MOST_PAGES = 10


class Gathering:
    """The features of patients, read under one scope."""

    def __init__(self, repository: Repository, limits: Limits) -> None:
        """Take the door and how old a value may be."""
        self._repository = repository
        self._limits = limits

    def features(self, scope: Scope, patient: str, *, at_us: int) -> Features:
        """Gather what is known of a patient ("Patient/1") at an instant; not alive where the record is deleted or closed to us."""
        try:
            person = self._repository.read(scope, "Patient", patient.partition("/")[2])
        except (NotFound, Gone):
            return Features(patient, "", alive=False)
        limits = self._limits
        seldom = {f.TOTAL, f.HDL, codes.CREATININE, f.BMI, f.SMOKING}
        labs = self._observations(scope, patient, codes.SELDOM, seldom, at_us - max(limits) * DAY_US)
        vitals = self._observations(scope, patient, codes.SYSTOLIC, {f.SYSTOLIC}, at_us - limits.vital_days * DAY_US)
        conditions = self._all(scope, "Condition", f"patient={patient}&_count=200")
        medicines = [
            *self._all(scope, "MedicationRequest", f"patient={patient}&status=active&_count=200"),
            *self._all(scope, "MedicationStatement", f"patient={patient}&status=active&_count=200"),
        ]
        medicines = self._named(scope, medicines)
        return chart_to_features(_entry(person), [*labs, *vitals], conditions, medicines, at_us=at_us, limits=limits)

    def _observations(self, scope: Scope, patient: str, loinc: tuple[str, ...], unseen: set[str], since_us: int) -> Iterator[Entry]:
        """Yield observations of some codes, newest first, until every value was seen once or there are no more."""
        wanted = ",".join(f"{LOINC}|{code}" for code in loinc)
        query: str | None = f"patient={patient}&combo-code={wanted}&status={','.join(sorted(VALID))}&date=ge{clock.iso(since_us)}&_sort=-date&_count={PAGE}"
        for _ in range(MOST_PAGES):
            page = self._repository.search(scope, "Observation", query or "")
            for stored in page.entries:
                entry = _entry(stored)
                unseen = unseen - {name for name, _, _ in valid_values(entry.resource)}
                yield entry
            query = page.next
            if query is None or not unseen:
                return

    def _named(self, scope: Scope, medicines: list[Entry]) -> list[Entry]:
        """Put the concepts of Medications that are resources of their own into the prescriptions that refer to them."""
        ids = sorted({medication_id(entry.resource) for entry in medicines} - {""})
        concepts: dict[str, object] = {}
        for first in range(0, len(ids), PAGE):
            wanted = ",".join(ids[first : first + PAGE])
            concepts |= {entry.resource["id"]: entry.resource.get("code") for entry in self._all(scope, "Medication", f"_id={wanted}&_count={PAGE}")}
        return [with_medication(entry, concepts) for entry in medicines]

    def _all(self, scope: Scope, type_: str, query: str) -> list[Entry]:
        return [_entry(stored) for stored in self._repository.all(scope, type_, query)]


def _entry(stored: Stored) -> Entry:
    return Entry(stored.json(), f"{stored.type}/{stored.id}/_history/{stored.version}")
