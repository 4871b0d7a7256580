"""The research database follows the store: what comes, changes, goes, is labelled, merged or read again."""

import pytest

from tests.integration.omop.world import World

LOINC, UCUM, SNOMED = "http://loinc.org", "http://unitsofmeasure.org", "http://snomed.info/sct"
PSYCHIATRY = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}]}


def patient(id_="p", **more):
    return {"resourceType": "Patient", "id": id_, "gender": "female", "birthDate": "1961-02-03", **more}


def weight(id_="w", of="p", value=72.5, **more):
    return {
        "resourceType": "Observation", "id": id_, "status": "final", "subject": {"reference": f"Patient/{of}"}, "effectiveDateTime": "2026-11-20T09:00:00+01:00",
        "code": {"coding": [{"system": LOINC, "code": "29463-7"}]}, "valueQuantity": {"value": value, "unit": "kg", "system": UCUM, "code": "kg"}, **more,
    }  # fmt: skip


def visit(id_="e", of="p", **more):
    return {
        "resourceType": "Encounter", "id": id_, "status": "finished", "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "subject": {"reference": f"Patient/{of}"}, "period": {"start": "2026-11-19T22:00:00-05:00", "end": "2026-11-21T10:00:00-05:00"}, **more,
    }  # fmt: skip


def merged(id_, into):
    return patient(id_, active=False, link=[{"other": {"reference": f"Patient/{into}"}, "type": "replaced-by"}])


def values(world):
    return world.rows("measurement", "person_id, value_as_number, visit_occurrence_id", order="measurement_id")


def test_a_resource_comes_changes_and_goes(world):
    world.put(patient())
    world.put(weight())
    world.follow()
    assert values(world) == [(1, 72.5, None)]
    assert world.counts() == {"person": 1, "measurement": 1, "observation_period": 1}
    (first,) = world.rows("measurement", "measurement_id")
    world.put(weight(value=71))
    world.follow()
    assert values(world) == [(1, 71.0, None)]
    assert world.rows("measurement", "measurement_id") == [first]
    world.delete("Observation", "w")
    world.follow()
    assert world.counts() == {"person": 1}
    world.put(weight(value=70))
    world.follow()
    assert world.rows("measurement", "measurement_id") == [first], "who comes back has the old id"


@pytest.mark.conformance("OMOP", "the omop engine reads no labelled row: what is labelled later leaves the CDM, and what depends on it")
@pytest.mark.parametrize("what", ["weight", "patient"])
def test_what_is_labelled_later_leaves_the_cdm(world, what):
    world.put(patient())
    world.put(weight())
    world.follow()
    assert world.counts()["measurement"] == 1
    world.put({**(weight() if what == "weight" else patient()), "meta": PSYCHIATRY})
    world.follow()
    assert world.counts() == ({"person": 1} if what == "weight" else {})
    assert world.excluded() == ({} if what == "weight" else {"Observation": {"no-person": 1}})


def test_running_twice_changes_nothing(world):
    for resource in (patient(), weight(), visit(), weight("x", encounter={"reference": "Encounter/e"})):
        world.put(resource)
    world.follow()
    before, known = world.contents(), world.knowledge()
    assert world.bus.replay("omop", 0) == 4
    world.follow()
    assert (world.contents(), world.knowledge()) == (before, known)
    world.lineage.write(lambda tx: tx.run("UPDATE omop_resource SET version = 0"))  # as if nothing had been written down
    world.bus.replay("omop", 0)
    world.follow()
    assert (world.contents(), world.knowledge()) == (before, known)


def test_what_came_before_its_patient_and_its_encounter_finds_them_later(world):
    world.put(weight("early", encounter={"reference": "Encounter/e"}))
    world.put(visit())
    world.follow()
    assert world.counts() == {}
    assert world.excluded() == {"Observation": {"no-person": 1}, "Encounter": {"no-person": 1}}
    world.put(patient())
    world.follow()
    assert values(world) == [(1, 72.5, 1)]
    assert world.excluded() == {}


def test_a_cancelled_encounter_lets_go_of_its_rows(world):
    for resource in (patient(), visit(), weight(encounter={"reference": "Encounter/e"})):
        world.put(resource)
    world.follow()
    assert values(world) == [(1, 72.5, 1)]
    world.put(visit(status="entered-in-error"))
    world.follow()
    assert values(world) == [(1, 72.5, None)]
    assert world.excluded() == {"Encounter": {"status-entered-in-error": 1}}


@pytest.mark.conformance("OMOP", "a merged Patient is no person; its rows go over to the survivor, along a chain of merges too")
def test_a_merge_gives_the_rows_to_the_survivor(world):
    for resource in (patient("a"), patient("b"), patient("c"), weight("w", of="a"), visit("e", of="a")):
        world.put(resource)
    world.follow()
    persons = {row[0] for row in world.rows("person", "person_id")}
    assert len(persons) == 3
    world.put(merged("a", "b"))
    world.follow()
    (after_b,) = world.rows("measurement", "person_id")
    world.put(merged("b", "c"))
    world.follow()
    assert world.counts() == {"person": 1, "visit_occurrence": 1, "measurement": 1, "observation_period": 1}
    (after_c,) = world.rows("measurement", "person_id")
    assert after_b != after_c
    assert world.rows("person", "person_id") == [after_c] == world.rows("observation_period", "person_id") == world.rows("visit_occurrence", "person_id")
    assert world.excluded() == {"Patient": {"merged": 2}}
    world.delete("Patient", "c")
    world.follow()
    assert world.counts() == {}
    world.put(merged("c", "a"))
    world.follow()
    assert world.counts() == {}, "merges in a circle end at nobody"
    world.put(patient("c"))
    world.follow()
    assert world.counts()["measurement"] == 1


def test_a_medication_that_gets_another_code_changes_the_exposure(world):
    rxnorm = "http://www.nlm.nih.gov/research/umls/rxnorm"
    world.put(patient())
    world.put({"resourceType": "Medication", "id": "m", "code": {"coding": [{"system": rxnorm, "code": "111"}]}})
    world.put({
        "resourceType": "MedicationAdministration", "id": "g", "status": "completed", "subject": {"reference": "Patient/p"},
        "medicationReference": {"reference": "Medication/m"}, "effectiveDateTime": "2026-11-20",
    })  # fmt: skip
    world.follow()
    assert world.rows("drug_exposure", "drug_source_value") == [("111",)]
    world.put({"resourceType": "Medication", "id": "m", "code": {"coding": [{"system": rxnorm, "code": "222"}]}})
    world.follow()
    assert world.rows("drug_exposure", "drug_source_value") == [("222",)]


def test_the_period_ends_with_death(world):
    world.put(patient())
    world.put(weight())
    world.put(weight("later", effectiveDateTime="2026-12-24"))
    world.follow()
    span = "observation_period_start_date, observation_period_end_date"
    assert [tuple(map(str, row)) for row in world.rows("observation_period", span)] == [("2026-11-20", "2026-12-24")]
    world.put(patient(deceasedDateTime="2026-12-01"))
    world.follow()
    assert [tuple(map(str, row)) for row in world.rows("observation_period", span)] == [("2026-11-20", "2026-12-01")]


@pytest.mark.conformance("OMOP", "every read goes through the door: a rebuild is one audit record, an event one read")
def test_a_rebuild_leaves_one_audit_record(world):
    world.put(patient())
    world.put(weight())
    before = world.audited()
    run = world.rebuild()
    assert (run.resources, run.rows) == (2, 2)
    assert run.finished
    assert run.vocabulary.startswith("chartloop")
    assert world.audited() == before + 1
    world.put(weight(value=71))
    world.lineage.write(lambda tx: tx.run("UPDATE omop_resource SET version = 0"))
    before = world.audited()
    world.follow()
    assert world.audited() == before + 2, "the patient once, and the weight once for both of its events"


@pytest.mark.conformance("Attacks", "70: no identifier enters the cdm")
@pytest.mark.conformance("OMOP", "no business identifier, name or address enters the CDM")
def test_no_identifier_enters_the_cdm(world):
    secrets = ("SECRET-MRN", "Geheimer", "Hauptstrasse", "555-0100", "SECRET-VISIT")
    world.put(patient(identifier=[{"system": "urn:mrn", "value": "SECRET-MRN"}], name=[{"family": "Geheimer"}], address=[{"line": ["Hauptstrasse 1"]}], telecom=[{"system": "phone", "value": "555-0100"}]))
    world.put(visit(identifier=[{"system": "urn:visit", "value": "SECRET-VISIT"}]))
    world.put(weight(encounter={"reference": "Encounter/e"}, note=[{"text": "Frau Geheimer"}], identifier=[{"system": "urn:x", "value": "SECRET-MRN"}]))
    world.follow()
    everything = repr([world.rows(table) for table in world.counts()])
    assert world.counts()["measurement"] == 1
    assert not [secret for secret in secrets if secret in everything]


@pytest.mark.conformance("Attacks", "70: words of a note stay in the chart")
def test_words_of_a_note_stay_in_the_chart(world):
    world.put(patient())
    world.put({
        "resourceType": "DocumentReference", "id": "n", "status": "current", "subject": {"reference": "Patient/p"}, "date": "2026-11-20T12:00:00Z",
        "type": {"coding": [{"system": LOINC, "code": "34117-2"}]}, "content": [{"attachment": {"contentType": "text/plain", "data": "U2VjcmV0IHdvcmRz"}}],
    })  # fmt: skip
    world.follow()
    assert world.rows("note", "note_text, note_source_value, note_type_concept_id") == [("", "34117-2", 32831)]


def test_a_crowd_of_events_is_followed_by_threads(world):
    for number in range(6):
        world.put(patient(f"p{number}"))
        world.put(weight(f"w{number}", of=f"p{number}"))
    world.follow()
    assert world.counts() == {"person": 6, "measurement": 6, "observation_period": 6}


def test_the_same_store_gives_the_same_rows_in_a_fresh_database(world, tmp_path):
    for resource in (patient("a"), patient("b"), weight("w", of="a"), visit("e", of="b"), weight("x", of="b", encounter={"reference": "Encounter/e"})):
        world.put(resource)
    world.rebuild()
    fresh = World((f"sqlite:///{tmp_path / 'other-store.sqlite3'}", f"sqlite:///{tmp_path / 'other.sqlite3'}", f"sqlite:///{tmp_path / 'other-lineage.sqlite3'}"), tmp_path / "other")
    try:
        fresh.repository = world.repository
        fresh.rebuild()
        assert fresh.contents() == world.contents(), "on either kind of database"
    finally:
        fresh.close()
