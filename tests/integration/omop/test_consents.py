"""A patient who says no to research later: rows that were taken before go, and come back with the permission, under the ids they had."""

import pytest

from chartloop.kernel import clock
from fhir_server.granting.in_time import tell_in_time
from tests.integration.omop.test_following import patient, values, visit, weight

REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
TYPES = "http://hl7.org/fhir/resource-types"
RESEARCH = {"type": "deny", "purpose": [{"system": REASON, "code": "HRESCH"}]}


def consent(provision, of="p", status="active"):
    scope = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]}
    return {
        "resourceType": "Consent", "id": f"c-{of}", "status": status, "scope": scope, "category": [{"text": "privacy"}], "patient": {"reference": f"Patient/{of}"},
        "performer": [{"reference": f"Patient/{of}"}], "policy": [{"uri": "urn:policy"}], "provision": provision,
    }  # fmt: skip


@pytest.fixture
def two(world):
    """Two patients with a visit and a weight each, all of it in the research database."""
    for of in ("p", "q"):
        for resource in (patient(of), visit(f"e{of}", of), weight(f"w{of}", of, encounter={"reference": f"Encounter/e{of}"})):
            world.put(resource)
    world.follow()
    return world


@pytest.mark.conformance("Access", "a patient who denies research later is taken out of the research database, and comes back when the denial ends, as a rebuild says too")
def test_a_denial_takes_rows_out_and_its_end_brings_them_back(two):
    before, counts = two.contents(), two.counts()
    assert counts["person"] == counts["visit_occurrence"] == counts["measurement"] == counts["observation_period"] == 2
    two.put(consent(RESEARCH))
    two.follow()
    denied = two.contents()
    assert {table: number for table, number in two.counts().items() if table in ("person", "visit_occurrence", "measurement", "observation_period")} == dict.fromkeys(("person", "visit_occurrence", "measurement", "observation_period"), 1)
    two.rebuild()
    assert two.contents() == denied
    two.put(consent(RESEARCH, status="inactive"))
    two.follow()
    assert two.contents() == before


@pytest.mark.parametrize("end", ["delete", "another patient"])
def test_a_consent_that_is_deleted_or_was_of_another_patient_brings_rows_back(two, end):
    before = two.contents()
    two.put(consent(RESEARCH))
    two.follow()
    assert len(values(two)) == 1
    if end == "delete":
        two.delete("Consent", "c-p")
        two.follow()
        assert two.contents() == before
    else:
        two.put({**consent(RESEARCH, "q"), "id": "c-p"})
        two.follow()
        assert two.rows("person", "person_id") == two._all(two.lineage, "SELECT row_id FROM omop_row WHERE type = 'Patient' AND id = 'p' AND cdm_table = 'person'")


def test_a_denial_of_one_type_takes_its_rows_alone_and_one_for_another_end_none(two):
    two.put(consent({"type": "deny", "purpose": [{"system": REASON, "code": "HMARKT"}]}, "q"))
    two.put(consent({**RESEARCH, "class": [{"system": TYPES, "code": "Observation"}]}))
    two.follow()
    assert (two.counts()["person"], two.counts()["visit_occurrence"], len(values(two))) == (2, 2, 1)
    two.put(weight("wp2", "p"))
    two.follow()
    assert len(values(two)) == 1


def test_what_was_stored_while_it_was_denied_comes_with_the_permission(two):
    two.put(consent(RESEARCH))
    two.put(weight("wp2", "p", value=80))
    two.follow()
    assert len(values(two)) == 1
    two.put(consent(RESEARCH, status="inactive"))
    two.follow()
    assert len(values(two)) == 3


@pytest.mark.conformance("Access", "a denial that begins or ends on a later day takes rows out, and brings them back, on that day")
def test_a_denial_that_begins_and_ends_later_is_followed_on_those_days(fake_clock, two):
    def on_the_day(day):
        fake_clock.advance(day * 86_400)
        told = tell_in_time(two.store)
        two.follow()
        return told, len(values(two))

    begins, ends = (clock.iso(clock.now_us() + day * 86_400_000_000)[:19] + "Z" for day in (2, 4))
    two.put(consent({**RESEARCH, "period": {"start": begins, "end": ends}}))
    two.follow()
    assert on_the_day(1) == (0, 2)
    assert on_the_day(1.5) == (1, 1)
    assert on_the_day(2) == (1, 2)
    assert on_the_day(4) == (0, 2)
