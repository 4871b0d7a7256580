"""The results of a demo visit: seeded, plausible, and whole when they are mapped."""

import hl7
import pytest

from chartloop.demo.messages_results import measurements, results_message
from chartloop.demo.population import SEED, generate
from ingest.hl7v2.parser import parse
from ingest.hl7v2.structure import check
from ingest.mapping.mapper import message_to_changes


@pytest.fixture(scope="module")
def visits():
    return generate().visits


def test_the_results_of_a_visit_are_mapped_without_a_warning(visits):
    for visit in visits:
        message, problems = parse(results_message(visit, SEED).text.encode())
        mapped = message_to_changes(message)
        assert (problems, check(message), mapped.problems) == ((), (), ())
        observations = {c.resource["code"]["coding"][0]["code"]: c.resource for c in mapped.changes if c.key.type == "Observation"}
        assert set(observations) == {"85354-9", "29463-7", "8302-2", "39156-5", "2093-3", "2085-9", "2160-0", "72166-2"}
        assert all(each["effectiveDateTime"].endswith("-06:00") and each["status"] == "final" for each in observations.values())
        assert [part["code"]["coding"][0]["code"] for part in observations["85354-9"]["component"]] == ["8480-6", "8462-4"]
        assert sum(c.key.type == "DiagnosticReport" for c in mapped.changes) == 4


def test_the_same_visit_gives_the_same_results_and_another_seed_others(visits):
    assert [results_message(visit, SEED) for visit in visits] == [results_message(visit, SEED) for visit in generate().visits]
    assert [results_message(visit, SEED) for visit in visits] != [results_message(visit, SEED + 1) for visit in visits]
    assert len({results_message(visit, SEED).control_id for visit in visits}) == len(visits)


def test_values_are_plausible_and_fit_the_note(visits):
    for visit in visits:
        measured = measurements(visit, SEED)
        assert measured.diastolic < measured.systolic < 180
        assert measured.hdl < measured.cholesterol
        assert 20 <= measured.body_mass_index <= 36
        assert (measured.systolic, measured.diastolic) == (146, 88) or "I10" not in visit.note.codes


def test_an_independent_parser_reads_the_results(visits):
    message = hl7.parse(results_message(visits[0], SEED).text)
    assert str(message.segment("MSH")[9]) == "ORU^R01^ORU_R01"
    assert len(message.segments("OBR")) == 4
    assert len(message.segments("OBX")) == 9
