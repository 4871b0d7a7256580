"""The pages' questions to a lineage that the bridge itself has written, on SQLite and PostgreSQL."""

import pytest

from omop_bridge.figures import Counting
from omop_bridge.origins import Exclusion, Origin, origins, patients

PATIENT = {"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1967-08-02"}
PRESSURE = {
    "resourceType": "Observation",
    "id": "o1",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}]},
    "subject": {"reference": "Patient/p1"},
    "effectiveDateTime": "2026-11-20T08:30:00Z",
    "component": [
        {
            "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
            "valueQuantity": {"value": value, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"},
        }
        for code, value in (("8480-6", 148), ("8462-4", 91))
    ],
}
WRONG = {**PRESSURE, "id": "o2", "status": "entered-in-error"}


@pytest.mark.conformance("OMOP", "From a row back to the resource, the version and the element that gave it (f2o-100)")
def test_a_component_is_found_again_from_its_row(world):
    for resource in (PATIENT, PRESSURE, WRONG, {**PRESSURE, "issued": "2026-11-20T09:00:00Z"}):
        world.put(resource)
    world.rebuild()
    (diastolic,) = world.rows("measurement", "measurement_id", "measurement_source_value = '8462-4'")
    with world.lineage.read() as session:
        (origin,) = origins(session, "measurement", diastolic[0])
        assert origin == Origin("Observation/o1", 2, origin.element)
        assert "component[1]" in origin.element
        (person,) = world.rows("person", "person_id")
        assert patients(session, person) == ("Patient/p1",)
        assert origins(session, "measurement", 2**31 - 1) == []
    figures = Counting(lambda: world.cdm, lambda: world.lineage).figures()
    assert figures.counts["measurement"] == 2
    assert figures.exclusions == (Exclusion("Observation", "status-entered-in-error", 1),)
    assert (figures.run.kind, figures.run.rows, figures.run.finished is not None) == ("rebuild", 3, True)


def test_a_row_that_is_gone_has_no_origin(world):
    world.put(PATIENT)
    world.put(PRESSURE)
    world.rebuild()
    (row,) = world.rows("measurement", "measurement_id", "measurement_source_value = '8480-6'")
    world.put({**PRESSURE, "status": "entered-in-error"})
    world.follow()
    with world.lineage.read() as session:
        assert origins(session, "measurement", row[0]) == []


def test_figures_are_counted_at_most_once_in_a_while(world, fake_clock):
    counting = Counting(lambda: world.cdm, lambda: world.lineage)
    assert counting.figures().counts["person"] == 0
    world.put(PATIENT)
    world.rebuild()
    assert counting.figures().counts["person"] == 0
    fake_clock.advance(11)
    assert counting.figures().counts["person"] == 1
