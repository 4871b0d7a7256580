"""The demo's population: enough of everything, valid identifiers, the same for the same seed."""

import json
from collections import Counter
from datetime import date

import pytest

from chartloop.demo.population import generate
from chartloop.demo.population_ids import npi


def resources(population):
    return [entry["resource"] for bundle in (population.directory, *population.bundles) for entry in bundle["entry"]]


@pytest.fixture(scope="module")
def population():
    return generate(payer_address="http://127.0.0.1:9000/")


@pytest.mark.conformance("The loop", "1 Patients: at least 25 patients with encounters, conditions, observations, medications, coverage and practitioners")
def test_there_is_enough_of_everything(population):
    counts = Counter(resource["resourceType"] for resource in resources(population))
    assert counts["Patient"] >= 25
    assert counts["Encounter"] >= 50
    assert counts["Condition"] >= 50
    assert counts["Observation"] >= 250
    assert counts["MedicationRequest"] >= 25
    assert counts["Coverage"] >= 25
    assert counts["Practitioner"] >= 4
    assert counts["Endpoint"] == len(population.payers) >= 2


@pytest.mark.long
@pytest.mark.conformance("The loop", "1 Patients: the population is seeded: the same for the same seed")
def test_the_same_seed_gives_the_same_population_and_another_seed_another(population):
    assert json.dumps(generate(payer_address="http://127.0.0.1:9000/").bundles) == json.dumps(population.bundles)
    assert generate(seed=5).people != population.people


@pytest.mark.conformance("The loop", "1 Patients: each entry is a conditional create, so that loading again doubles nothing")
def test_every_entry_creates_a_resource_only_once(population):
    for bundle in (population.directory, *population.bundles):
        assert bundle["type"] == "transaction"
        for entry in bundle["entry"]:
            first = entry["resource"]["identifier"][0]
            assert entry["request"] == {
                "method": "POST",
                "url": entry["resource"]["resourceType"],
                "ifNoneExist": f"identifier={first['system']}|{first['value']}",
            }
    keys = [(r["resourceType"], r["identifier"][0]["system"], r["identifier"][0]["value"]) for r in resources(population)]
    assert len(keys) == len(set(keys))


def test_references_lead_to_the_bundle_or_to_the_directory(population):
    def references(value):
        if isinstance(value, dict):
            if isinstance(value.get("reference"), str):
                yield value["reference"]
            for item in value.values():
                yield from references(item)
        elif isinstance(value, list):
            for item in value:
                yield from references(item)

    known = {f"{r['resourceType']}?identifier={i['system']}|{i['value']}" for r in resources(population) for i in r["identifier"]}
    for bundle in (population.directory, *population.bundles):
        inside = {entry["fullUrl"] for entry in bundle["entry"]}
        assert set(references(bundle)) <= inside | known


def test_provider_numbers_have_a_valid_check_digit():
    assert npi(23456789) == "1234567893"
    from chartloop.demo.payer.deciding import luhn

    assert all(luhn(npi(number)) for number in range(0, 99_000_000, 7_777_777))


@pytest.mark.conformance("The loop", "1 Patients: the organisation can bill and the payers can be reached")
def test_the_clinic_can_bill_and_the_payers_can_be_reached(population):
    directory = [entry["resource"] for entry in population.directory["entry"]]
    clinic = next(r for r in directory if r.get("name") == "Meadowbend Community Clinic" and r["resourceType"] == "Organization")
    assert {i["system"] for i in clinic["identifier"]} == {
        "https://chartloop.example/fhir/facility",
        "http://hl7.org/fhir/sid/us-npi",
        "urn:oid:2.16.840.1.113883.4.4",
    }
    assert clinic["address"][0]["postalCode"] == "62799-4410"
    addresses = {r["address"] for r in directory if r["resourceType"] == "Endpoint"}
    assert addresses == {f"http://127.0.0.1:9000/payers/{payer.id}" for payer in population.payers}


def test_names_hold_letters_of_many_scripts(population):
    assert population.people[0].family == "Müller-Łukasz"
    assert len({(person.family, person.given) for person in generate(patients=70).people}) == 70


def test_history_lies_before_the_day_of_the_demo():
    population = generate(day=date(2026, 3, 2), patients=5)
    starts = [r["period"]["start"] for r in resources(population) if r["resourceType"] == "Encounter"]
    assert max(starts) < "2026-03-02"
    assert all(visit.start.date() == date(2026, 3, 2) for visit in population.visits)
