"""Predictions become cards: their words, their order, their limits."""

import json
from uuid import UUID

import pytest

from cds_hooks.contribution import percentage_points
from cds_hooks.markdown import escape
from cds_hooks.risk_card import Surroundings, percent, risk_cards
from cds_hooks.stored_prediction import read_prediction
from chartloop.kernel.clock import parse_iso
from tests.unit.cds_hooks.samples import BASE, KEY, LIGHTGBM, PREVENT, RISK, ROOT, contribution, incomplete, learned, quantity, risk

NOW = parse_iso("2026-11-22T08:00:00Z")
YEAR_US = 365 * 86_400 * 1_000_000


def cards(*resources, validated=(LIGHTGBM,), labelled=(PREVENT, LIGHTGBM), now=NOW):
    around = Surroundings(ROOT, "http://127.0.0.1:8501/explain/launch", KEY, YEAR_US, lambda model: model in validated, lambda model: model in labelled)
    return risk_cards([read_prediction(resource)[0] for resource in resources], around, now)


@pytest.mark.conformance("CDS Hooks 2.0", "@87, @90, @98, @100, @103, @105, @107, @115, @136-142, @216-220: indicator, source with topic, override reasons with display, and links, each of its type")
@pytest.mark.conformance("Card", "absolute risk beside the baseline; factors with value, unit, date, direction and size; what was not recorded; model version and time")
def test_a_prediction_is_this_card():
    [card] = cards(RISK)
    assert UUID(card.pop("uuid")).version == 8
    assert card == {
        "summary": "10-year risk of stroke: 5.4 %, baseline 2.8 % (AHA PREVENT 2023, stroke, 10 years)",
        "indicator": "info",
        "detail": """**10-year risk of stroke: 5.4 %.** Baseline: 2.8 %, for a woman of 60 with the reference values of the equation.

| Factor | Value | Recorded | In the model | Size |
| --- | --- | --- | --- | --- |
| Systolic blood pressure | 158 mmHg | 2026-11-20 | raises the result | 1.8 points |
| Current smoker | yes | 2026-10-02 | raises the result | 1.4 points |
| Estimated GFR | 92 mL/min/1.73 m² | 2026-09-01 | lowers the result | 0.2 points |

Size: by how many percentage points the result of the model would differ if this one contribution were taken back to the baseline. Sizes do not add up. They describe the calculation, not what a change of the value would do for the patient.

Not recorded: HDL cholesterol.

Calculated 2026-11-22 07:00 UTC by AHA PREVENT 2023, stroke, 10 years, version 1.0.0. You see this because the chart was opened.""",
        "source": {
            "label": "Chartloop",
            "url": f"{ROOT}/cds-services/models/{PREVENT}",
            "topic": {"system": f"{BASE}/CodeSystem/risk-model", "code": PREVENT, "display": "AHA PREVENT 2023, stroke, 10 years"},
        },
        "overrideReasons": [
            {"system": f"{BASE}/CodeSystem/override-reason", "code": "already-addressed", "display": "Already addressed"},
            {"system": f"{BASE}/CodeSystem/override-reason", "code": "wrong-data", "display": "The data are wrong"},
            {"system": f"{BASE}/CodeSystem/override-reason", "code": "not-applicable", "display": "Does not apply to this patient"},
            {"system": f"{BASE}/CodeSystem/override-reason", "code": "disagree", "display": "I disagree with the result"},
        ],
        "links": [
            {"label": "How this was calculated", "url": "http://127.0.0.1:8501/explain/launch", "type": "smart", "appContext": '{"riskAssessment": "r1"}'},
            {"label": "About this model", "url": f"{ROOT}/cds-services/models/{PREVENT}", "type": "absolute"},
        ],
        "extension": {
            "example.chartloop.risk": {
                "model": PREVENT,
                "probability": 0.054,
                "calculated": "2026-11-22T07:00:00.000Z",
                "modelVersion": "1.0.0",
                "baseline": 0.028,
                "factors": [
                    {"feature": "systolic-blood-pressure", "label": "Systolic blood pressure", "logOdds": 0.4183, "percentagePoints": 1.7791},
                    {"feature": "current-smoker", "label": "Current smoker", "logOdds": 0.31, "percentagePoints": 1.3815},
                    {"feature": "egfr", "label": "Estimated GFR", "logOdds": -0.0442, "percentagePoints": -0.2303},
                ],
            }
        },
    }


@pytest.mark.parametrize(("probability", "indicator"), [(0.0749, "info"), (0.075, "warning"), (0.5, "warning"), (1, "warning"), (0, "info")])
@pytest.mark.conformance("Card", "the indicator is info or warning by a table, never critical")
def test_the_indicator_follows_the_table_and_is_never_critical(probability, indicator):
    [card] = cards(risk(prediction=[{"probabilityDecimal": probability}]))
    assert card["indicator"] == indicator


@pytest.mark.conformance("Card", "no LightGBM card without a local validation record; its card names the source of its labels")
def test_a_learned_model_needs_a_local_validation_record():
    assert [card["source"]["topic"]["code"] for card in cards(RISK, learned(), validated=())] == [PREVENT]
    first, second = cards(RISK, learned())
    assert [first["source"]["topic"]["code"], second["source"]["topic"]["code"]] == [LIGHTGBM, PREVENT]
    assert "The labels that the model was trained on: synthetic patients of the demo; no real outcome" in first["detail"]
    assert cards(learned(status="preliminary", prediction=None), validated=()) == []


def test_the_highest_result_comes_first_and_what_cannot_be_shown_last():
    codes = [card["source"]["topic"]["code"] for card in cards(incomplete(), learned(0.001))]
    assert codes == [LIGHTGBM, PREVENT]
    assert [card["source"]["topic"]["code"] for card in cards(learned(0.01), RISK)] == [PREVENT, LIGHTGBM]


def test_of_one_model_the_newest_counts():
    older = risk(id="r0", occurrenceDateTime="2026-11-21T07:00:00Z", prediction=[{"probabilityDecimal": 0.9}])
    [card] = cards(RISK, older)
    assert card["summary"].startswith("10-year risk of stroke: 5.4 %")


@pytest.mark.conformance("Card", "a stale prediction is an info card that says so and shows no number")
def test_a_stale_prediction_says_so_and_shows_no_number():
    [card] = cards(RISK, now=NOW + YEAR_US)
    assert card["summary"] == "10-year risk of stroke: the last result is of 2026-11-22, too old to be shown (AHA PREVENT 2023, stroke, 10…)"
    assert card["indicator"] == "info"
    assert "5.4" not in json.dumps(card)
    assert "extension" not in card
    assert cards(RISK, now=NOW + YEAR_US)[0]["uuid"] != cards(RISK)[0]["uuid"]


@pytest.mark.conformance("Card", "inputs that are missing make an info card that names them")
def test_missing_inputs_are_named():
    [card] = cards(incomplete())
    assert card["summary"] == "10-year risk of stroke: not calculated, not recorded: HDL cholesterol, smoking status"
    assert card["indicator"] == "info"
    assert card["detail"] == (
        "**10-year risk of stroke: not calculated.** Not recorded: HDL cholesterol, smoking status.\n\n"
        "Looked at 2026-11-22 07:00 UTC by AHA PREVENT 2023, stroke, 10 years, version 1.0.0. You see this because the chart was opened."
    )
    [nameless] = cards(risk(prediction=None, extension=None))
    assert nameless["summary"] == "10-year risk of stroke: not calculated, inputs are missing"


def test_what_is_recorded_and_keeps_the_model_from_answering_is_not_called_unrecorded():
    resource = incomplete()
    texts = ["Age between 30 and 79 years; it is 28", "The model is for people without known cardiovascular disease; the chart records one", "HDL cholesterol"]
    resource["extension"] = [{"url": f"{BASE}/StructureDefinition/risk-missing", "valueString": text} for text in texts]
    [card] = cards(resource)
    assert card["summary"].startswith("10-year risk of stroke: not calculated, Age between 30 and 79 years; it is 28, The model is for people without")
    assert card["detail"].startswith(
        "**10-year risk of stroke: not calculated.** Age between 30 and 79 years; it is 28."
        " The model is for people without known cardiovascular disease; the chart records one. Not recorded: HDL cholesterol.\n\n"
    )


def test_a_long_list_of_missing_inputs_is_cut():
    resource = incomplete()
    resource["extension"] = resource["extension"][:1] * 40
    [card] = cards(resource)
    assert "and 28 more" in card["detail"]
    assert len(card["summary"]) <= 139


def test_no_prediction_is_no_card():
    assert cards() == []


def test_without_a_label_or_an_id_there_is_no_link_that_leads_nowhere():
    [card] = cards(risk(id=None), labelled=())
    assert "links" not in card
    assert card["source"]["url"] == ROOT


def test_three_to_five_factors_are_shown_the_largest_first():
    many = [contribution(f"f{number}", f"F{number}", quantity(1, "1"), number / 10) for number in range(1, 9)]
    [card] = cards(risk(extension=many))
    assert [row.split(" | ")[0] for row in card["detail"].splitlines() if row.startswith("| F")][1:] == ["| F8", "| F7", "| F6", "| F5", "| F4"]
    tiny = [contribution(f"f{number}", f"F{number}", quantity(1, "1"), 0.001) for number in range(1, 9)]
    [card] = cards(risk(extension=tiny))
    assert len([row for row in card["detail"].splitlines() if row.startswith("| F")]) == 1 + 3


@pytest.mark.conformance("CDS Hooks 2.0", "@80: the uuid identifies the card: the same for the same version of a prediction, another for the next")
def test_the_card_of_a_version_has_one_id():
    [one], [same] = cards(RISK), cards(RISK)
    [following] = cards(risk(meta={"versionId": "4"}))
    assert one["uuid"] == same["uuid"] != following["uuid"]


def test_a_size_is_the_difference_to_the_result_without_the_contribution():
    assert percentage_points(0.5, 0.0) == 0
    assert percentage_points(0.054, 0.4183) == pytest.approx(100 * (0.054 - 0.036207), abs=1e-3)
    assert percentage_points(0.0, 1e308) == pytest.approx(0, abs=1e-6)
    assert percentage_points(1.0, -1e308) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("probability", "text"), [(0, "under 0.1 %"), (0.00099, "under 0.1 %"), (0.001, "0.1 %"), (0.05449, "5.4 %"), (1, "100.0 %")])
def test_a_probability_is_written_for_people(probability, text):
    assert percent(probability) == text


@pytest.mark.conformance("Attacks", "29, 97: text of resources in a card is text: no markup, no HTML, no link")
@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)&gt;"),
        ("[click](https://evil.example)", r"\[click\](https\://evil.example)"),
        ("![x](data:text/html,x)", r"!\[x\](data:text/html,x)"),
        ("a | b", r"a \| b"),
        ("**bold** `code` ~~gone~~", r"\*\*bold\*\* \`code\` \~\~gone\~\~"),
        ("www.evil.example", r"www\.evil.example"),
        ("me@evil.example", r"me\@evil.example"),
        ("&lt;b&gt;", "&amp;lt;b&amp;gt;"),
        ("one\r\n\r\n# two\u2028three", "one # two three"),
        ("\u202egnp.exe", "gnp.exe"),
    ],
)
def test_markup_is_escaped(text, escaped):
    assert escape(text) == escaped
