"""The risk model learns anew from the store, as a candidate that a person adopts."""

import json
import random

import pytest
from click.testing import CliRunner

from chartloop.app import open_door, open_kernel
from chartloop.cli.predictions import predictions
from chartloop.engines import jobs
from chartloop.kernel import clock
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.config import load_settings
from chartloop.kernel.errors import Unprocessable
from chartloop.retraining import candidate_directory
from chartloop.risk import risk_directory, risk_registry
from predictions.risk.model_directory import FILES

OPERATOR = Scope(Subject(id="test:operator", role="operator", scopes=("system/*.cruds",)), "batch")
AGAIN = {"predictions.retrain_days": 30, "predictions.retrain_years": 1.0, "predictions.retrain_label_source": "Problem list, I60-I64"}
DAY_US = 86_400_000_000


def people(count):
    """Patients of whom the old have strokes more often, each this year."""
    dice, this_year = random.Random(3), int(clock.iso(clock.now_us())[:4])
    for number in range(count):
        age = dice.randint(32, 76)
        patient = {"resourceType": "Patient", "id": f"p{number}", "gender": dice.choice(["male", "female"]), "birthDate": f"{this_year - age}-03-01"}
        yield {"resource": patient, "request": {"method": "PUT", "url": f"Patient/p{number}"}}
        if dice.random() < (age - 30) / 80:
            onset = clock.iso(clock.now_us() - dice.randint(5, 300) * DAY_US)
            stroke = {"resourceType": "Condition", "id": f"c{number}", "subject": {"reference": f"Patient/p{number}"}, "onsetDateTime": onset,
                      "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I63.9"}]}}  # fmt: skip
            yield {"resource": stroke, "request": {"method": "PUT", "url": f"Condition/c{number}"}}


@pytest.mark.long
@pytest.mark.conformance("Risk", "a model is trained anew from the store on a schedule, and goes into use when a person adopts it, never by itself")
def test_a_candidate_is_trained_by_the_job_and_used_once_it_is_adopted(tmp_path):
    settings = load_settings({"data": tmp_path, **AGAIN})
    with open_kernel(settings) as kernel:
        door = open_door(kernel)
        door.repository.batch(OPERATOR, json.dumps({"resourceType": "Bundle", "type": "batch", "entry": list(people(500))}).encode())
        [job] = [job for job in jobs(kernel, door) if job.name == "retrain-risk"]
        assert job.schedule.text == "every 720 h"
        job.action()
    assert {path.name for path in candidate_directory(settings).iterdir()} == set(FILES)
    assert risk_registry(settings).validation() is None, "nothing goes into use by itself"
    run = CliRunner().invoke(predictions, ["adopt", "--data", str(tmp_path), "--yes"])
    assert run.exit_code == 0, run.output
    assert "adopted, " in run.output
    adopted = risk_registry(settings).validation()
    assert adopted["people"] > 300
    assert adopted["version"] in run.output
    assert json.loads((risk_directory(settings) / "model.json").read_text())["labels_source"] == AGAIN["predictions.retrain_label_source"]
    again = CliRunner().invoke(predictions, ["adopt", "--data", str(tmp_path), "--yes"])
    assert str(again.exception) == "model.txt is absent."


def test_without_a_word_where_labels_come_from_nothing_is_trained_and_too_few_people_leave_what_was(tmp_path):
    for said, expected in (({}, []), ({"predictions.retrain_days": 30}, []), (AGAIN | {"omop.rebuild_days": 7}, ["retrain-risk", "omop-rebuild"])):
        with open_kernel(load_settings({"data": tmp_path, **said})) as kernel:
            found = [job for job in jobs(kernel, open_door(kernel)) if job.name in ("retrain-risk", "omop-rebuild")]
            assert [job.name for job in found] == expected
            if found:
                with pytest.raises(Unprocessable, match="Only 0 of 0 people had a stroke"):
                    found[0].action()
                found[1].action()
    assert not candidate_directory(load_settings({"data": tmp_path})).exists()
