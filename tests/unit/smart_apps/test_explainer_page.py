"""The page of an estimate: what it says, what it never says, and what it does when there is little to say."""

import re
from typing import Any

import pytest

from smart_apps.client.fhir import NotAllowedError
from smart_apps.explainer import page
from smart_apps.explainer.reading import NothingToExplainError, read_explanation, wanted
from smart_apps.explainer.view import facts
from tests.journeys import risk_chart
from tests.journeys.risk_chart import RISK_ID

CAUSAL = re.compile(r"\b(because|caus\w+|due to|leads? to|led to|effects?|impacts?|driv\w+|responsible for|results? in|contributes? to|explains why)\b", re.IGNORECASE)


class Chart:
    """A FHIR server in memory."""

    def __init__(self) -> None:
        self.resources = {f"{r['resourceType']}/{r['id']}": r for r in (*risk_chart.resources(), risk_chart.versions()[-1])}
        self.versions = [{**v, "meta": {"versionId": str(n)}} for n, v in enumerate(risk_chart.versions(), start=1)][::-1]
        self.closed: set[str] = set()
        self.reads: list[str] = []

    def _open(self, type_: str) -> None:
        if type_ in self.closed:
            raise NotAllowedError

    def read(self, reference: str) -> dict[str, Any] | None:
        self.reads.append(reference)
        self._open(reference.partition("/")[0])
        return self.resources.get(reference)

    def search(self, resource_type: str, **params: str) -> list[dict[str, Any]]:
        self._open(resource_type)
        ids = params.get("_id", "").split(",")
        return [r for r in self.resources.values() if r["resourceType"] == resource_type and ("_id" not in params or r["id"] in ids)]

    def history(self, reference: str, count: int) -> list[dict[str, Any]]:
        self._open("history")
        return self.versions[:count]


@pytest.fixture
def chart() -> Chart:
    return Chart()


def shown(chart: Chart, id_: str = RISK_ID, *, banner: bool = True) -> str:
    explanation = read_explanation(chart, "anna", id_)
    return page.explanation(facts(explanation, banner=banner, labels="https://ehr.example/cds-services/models/"))


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.conformance("Explanation page", "absolute risk beside the baseline, model version, time, and a link to the model label")
def test_the_page_says_the_risk_beside_the_baseline_and_whose_estimate_it_is(chart: Chart) -> None:
    html = shown(chart)
    said = words(html)
    assert "5.7 % beside a baseline of 2.8 %" in said
    assert "about 57 of 1,000 people" in said
    assert "a woman of 60 with the reference values of the equation" in said
    assert "AHA PREVENT 2023, stroke, 10 years" in said
    assert "2026-11-20 08:10" in said
    assert 'href="https://ehr.example/cds-services/models/prevent-stroke-10y"' in html
    assert "Lindqvist, Anna" in said
    assert "MRN-60001" in said


@pytest.mark.conformance("Explanation page", "waterfall and trend are inline SVG with title, description and the same as a table")
def test_the_drawings_have_names_descriptions_and_tables(chart: Chart) -> None:
    html = shown(chart)
    for name in ("waterfall", "trend"):
        drawing = re.search(rf'<svg[^>]*class="chart {name}".*?</svg>', html, re.DOTALL)
        assert drawing is not None
        assert f'aria-labelledby="{name}-title"' in drawing[0]
        assert f'<title id="{name}-title">' in drawing[0]
        assert f'<desc id="{name}-desc">' in drawing[0]
    assert html.count("The same as a table") == 2
    said = words(html)
    for row in ("Diabetes raises +0.50 2.8 % 4.5 %", "Smoking lowers \N{MINUS SIGN}0.15", "3 2026-11-20 08:10 5.7 % 2.8 % prevent-stroke-10y 1.0.0", "1 2026-03-02 09:00 4.4 %"):
        assert row in said, row


@pytest.mark.conformance("Explanation page", "each factor leads to the record behind it, with value, unit, date and status")
def test_each_factor_leads_to_the_record_behind_it(chart: Chart) -> None:
    chart.resources["Observation/chol"]["extension"] = [{"url": f"{risk_chart.BASE}/StructureDefinition/implausible", "valueBoolean": True}]
    html = shown(chart)
    anchors = set(re.findall(r'href="#(record-\d+)"', html))
    assert anchors == set(re.findall(r'id="(record-\d+)"', html))
    assert len(anchors) == 6
    said = words(html)
    assert "Blood pressure panel Systolic blood pressure 158 mmHg, Diastolic blood pressure 92 mmHg 2026-11-20 09:00 final" in said
    assert "Diabetes mellitus type 2" in said
    assert "amlodipine 5 MG Oral Tablet" in said
    assert "Total cholesterol 231 mg/dL hardly plausible" in said
    assert "Observation/smoking-gone: deleted since, or not visible to you." in said
    assert "HDL cholesterol" in said


@pytest.mark.conformance("Explanation page", "no causal words")
def test_the_page_says_nothing_about_causes(chart: Chart) -> None:
    assert CAUSAL.findall(words(shown(chart))) == []
    chart.resources[f"RiskAssessment/{RISK_ID}"] = risk_chart.preliminary()
    assert CAUSAL.findall(words(shown(chart))) == []


@pytest.mark.conformance("Explanation page", "the page holds no script and no inline style, and its policy allows none")
def test_the_page_needs_no_script(chart: Chart) -> None:
    html = shown(chart)
    assert "<script" not in html
    assert " style=" not in html
    assert not re.search(r"\son\w+=", html)
    policy = page.headers(("https://ehr.example",))["Content-Security-Policy"]
    assert policy == "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self' https://ehr.example; frame-ancestors https://ehr.example"
    assert page.headers(())["Content-Security-Policy"].endswith("frame-ancestors 'none'")


@pytest.mark.conformance("Explanation page", "an estimate that could not be made says what is missing")
def test_an_estimate_that_could_not_be_made_says_what_is_missing(chart: Chart) -> None:
    chart.resources[f"RiskAssessment/{RISK_ID}"] = risk_chart.preliminary()
    chart.versions = [risk_chart.preliminary(), *chart.versions]
    said = words(shown(chart))
    assert "No estimate" in said
    assert "What is recorded is not enough for one. Missing: Total cholesterol, HDL cholesterol." in said
    assert "A cross is a time when no estimate could be made." in said
    assert "preliminary" in said
    assert "no estimate" in said  # its row among the versions
    assert "waterfall" not in shown(chart)
    chart.versions = [risk_chart.preliminary()]
    assert "No estimate" in words(shown(chart))


def test_texts_of_the_chart_stay_texts(chart: Chart) -> None:
    evil = '<script>alert(1)</script>"\'&\x00\ud800'
    risk = chart.resources[f"RiskAssessment/{RISK_ID}"]
    risk["extension"][1]["extension"][1]["valueString"] = evil
    risk["extension"].append({"url": f"{risk_chart.BASE}/StructureDefinition/risk-missing", "valueString": evil})
    risk["code"]["text"] = evil
    chart.resources["Patient/anna"]["name"] = [{"text": evil}]
    html = shown(chart)
    html.encode()
    assert "<script" not in html
    assert "\x00" not in html
    assert "&lt;script&gt;" in html


def test_without_a_banner_the_patient_is_not_repeated(chart: Chart) -> None:
    assert "Lindqvist" not in shown(chart, banner=False)


@pytest.mark.conformance("Explanation page", "an estimate of somebody else, a deleted one and a closed one are refused alike")
def test_what_is_not_of_this_patient_or_not_there_is_refused(chart: Chart) -> None:
    other = {**risk_chart.versions()[0], "id": "other", "subject": {"reference": "Patient/somebody"}}
    chart.resources["RiskAssessment/other"] = other
    with pytest.raises(NothingToExplainError, match="not about the patient who is open"):
        read_explanation(chart, "anna", "other")
    with pytest.raises(NothingToExplainError, match="no such estimate"):
        read_explanation(chart, "anna", "unknown")
    with pytest.raises(NothingToExplainError, match="No patient"):
        read_explanation(chart, "", RISK_ID)
    chart.closed = {"RiskAssessment"}
    with pytest.raises(NothingToExplainError, match="no such estimate"):
        read_explanation(chart, "anna", RISK_ID)


def test_records_of_somebody_else_and_of_closed_types_are_not_shown(chart: Chart) -> None:
    chart.resources["Observation/chol"]["subject"] = {"reference": "Patient/somebody"}
    chart.closed = {"Condition", "history"}
    explanation = read_explanation(chart, "anna", RISK_ID)
    assert explanation.records["Observation/chol"] is None
    assert explanation.records["Condition/dm"] is None
    assert explanation.records["Observation/bp-2"] is not None
    assert [v.id for v in explanation.versions] == [RISK_ID]


def test_references_that_are_no_references_are_never_asked_for(chart: Chart) -> None:
    risk = chart.resources[f"RiskAssessment/{RISK_ID}"]
    risk["basis"] = [{"reference": r} for r in ("../Patient/x", "https://evil.example/Observation/1", "Observation/1/_history/1", "Observation/a?b", "")]
    for extension in risk["extension"]:
        extension.get("extension", []).append({"url": "basis", "valueReference": {"reference": "Observation/../../token"}})
    read_explanation(chart, "anna", RISK_ID)
    assert set(chart.reads) == {f"RiskAssessment/{RISK_ID}", "Patient/anna"}


def test_other_estimates_of_the_patient_are_linked(chart: Chart) -> None:
    chart.resources["RiskAssessment/second"] = {**risk_chart.versions()[0], "id": "second", "code": {"text": "Stroke, learned model"}}
    assert '<a href="?estimate=second">Stroke, learned model</a>' in shown(chart)


@pytest.mark.parametrize(("context", "id_"), [("", ""), ('{"riskAssessment":"r-1"}', "r-1")])
def test_a_link_names_its_estimate_or_leaves_it_open(context: str, id_: str) -> None:
    assert wanted(context) == id_


@pytest.mark.parametrize("context", ["{", "[]", '"r"', "{}", '{"riskAssessment":7}', '{"riskAssessment":""}', '{"riskAssessment":"../Patient/1"}', '{"riskAssessment":"a/b"}', "[" * 1_900])
def test_a_link_that_says_something_else_is_refused(context: str) -> None:
    with pytest.raises(NothingToExplainError):
        wanted(context)


@pytest.mark.parametrize("chosen", ["../Patient/anna", "..", "<script>", "r1?_format=xml", "r1/_history", "r1#", "a b"])
@pytest.mark.conformance("Explanation page", "an estimate is asked for by its id: nothing else in the address reaches the EHR")
def test_what_is_no_id_is_not_asked_of_the_ehr(chart: Chart, chosen: str) -> None:
    with pytest.raises(NothingToExplainError):
        read_explanation(chart, "anna", chosen)
    assert not chart.reads
