"""Whatever happens to the store, in whatever order: following it and rebuilding from it give the same rows with the same ids."""

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chartloop.kernel.errors import Gone, NotFound
from tests.integration.omop.world import World

PATIENTS, ENCOUNTERS = ("a", "b", "c"), ("e", "f")
PSYCHIATRY = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}]}


def patient(name, other, kind):
    resource = {"resourceType": "Patient", "gender": "female", "birthDate": "1961-02-03"}
    if kind == "merged" and other != name:
        return {**resource, "active": False, "link": [{"other": {"reference": f"Patient/{other}"}, "type": "replaced-by"}]}
    if kind == "dead":
        return {**resource, "deceasedDateTime": "2026-03-01T08:00:00+01:00"}
    if kind == "unborn":
        return {"resourceType": "Patient"}
    return resource


def encounter(_name, other, kind):
    resource = {
        "resourceType": "Encounter", "status": "finished", "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": {"reference": f"Patient/{other}"}, "period": {"start": "2026-01-05T09:00:00Z", "end": "2026-01-06T09:00:00Z"}, "serviceProvider": {"reference": "Organization/o"},
    }
    return {**resource, "status": "cancelled"} if kind == "merged" else resource


def organization(_name, _other, kind):
    return {"resourceType": "Organization", "name": f"House {kind}"}


def medication(_name, _other, kind):
    codes = {"merged": "197361", "dead": "860975"}
    return {"resourceType": "Medication", "code": {"coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": codes.get(kind, "308136")}]}}


def statement(_name, other, kind):
    return {
        "resourceType": "MedicationStatement", "status": "active", "subject": {"reference": f"Patient/{other}"}, "effectiveDateTime": "2026-02-01",
        "medicationReference": {"reference": "Medication/m"}, "context": {"reference": f"Encounter/{'e' if kind == 'dead' else 'f'}"},
    }


def pressure(_name, other, kind):
    parts = [("8480-6", 141), ("8462-4", 88)]
    resource = {
        "resourceType": "Observation", "status": "final", "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}]},
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}],
        "subject": {"reference": f"Patient/{other}"}, "encounter": {"reference": "Encounter/e"}, "effectiveDateTime": "2026-04-01T23:30:00-05:00",
        "component": [
            {"code": {"coding": [{"system": "http://loinc.org", "code": code}]}, "valueQuantity": {"value": value, "unit": "mm[Hg]", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}}
            for code, value in (parts[:1] if kind == "dead" else parts)
        ],
    }
    return {**resource, "status": "preliminary"} if kind == "merged" else resource


def condition(_name, other, kind):
    return {
        "resourceType": "Condition", "subject": {"reference": f"Patient/{other}"}, "encounter": {"reference": "Encounter/f"}, "recordedDate": "2026-01-01",
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "44054006" if kind == "dead" else "38341003"}]},
    }


THINGS = [("Patient", name, patient) for name in PATIENTS] + [
    ("Encounter", "e", encounter), ("Encounter", "f", encounter), ("Organization", "o", organization), ("Medication", "m", medication),
    ("MedicationStatement", "s", statement), ("Observation", "p", pressure), ("Observation", "q", pressure), ("Condition", "d", condition),
]  # fmt: skip

STEPS = st.lists(
    st.tuples(st.sampled_from(THINGS + THINGS[:3]), st.sampled_from(PATIENTS), st.sampled_from(["plain", "plain", "merged", "dead", "unborn", "merged", "deleted", "labelled"]), st.booleans()),
    min_size=1,
    max_size=24,
)


def take(world, step, prefix, labelled):
    (type_, name, make), other, kind, _ = step
    if kind == "deleted":
        with suppress(NotFound, Gone):
            world.delete(type_, prefix + name)
    else:
        resource = make(name, other, kind)
        label = kind == "labelled" and (type_, name) not in labelled  # once is enough: no write takes a label away
        labelled |= {(type_, name)} if label else set()
        with suppress(NotFound):  # who may not see it may not bring it back
            world.put({**resource, "id": name, **({"meta": PSYCHIATRY} if label else {})}, prefix)


def knowledge(world):
    """What the lineage says of resources, and of rows that are there."""
    found = world.knowledge()
    return {**found, "omop_row": [row for row in found["omop_row"] if row[-1] == 1]}


def compare(urls, directory, examples):
    world, numbers = World(urls, directory), iter(range(10_000))

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.permutations(THINGS), st.sampled_from(PATIENTS), STEPS)
    def check(first, owner, steps):
        prefix, labelled = f"x{next(numbers)}-", set()
        for step in [*((thing, owner, "plain", thing is first[-1]) for thing in first), *steps]:
            take(world, step, prefix, labelled)
            if step[-1]:
                world.follow()
        world.follow()
        followed, known = world.contents(), knowledge(world)
        world.rebuild()
        assert world.contents() == followed
        assert knowledge(world) == known

    try:
        check()
    finally:
        world.close()


@pytest.mark.long
@pytest.mark.conformance("Attacks", "87: a rebuild gives what following gave")
@pytest.mark.conformance("OMOP", "rebuild equals incremental, by hash per table, over random sequences of creates, updates, deletes, labels and merges")
def test_a_rebuild_gives_what_following_gave(urls, tmp_path):
    compare(urls, tmp_path, 12)


@pytest.mark.long
def test_a_rebuild_gives_what_following_gave_after_much_more(urls, tmp_path):
    compare(urls, tmp_path, 200)
