"""What comes from another server may be any JSON: reading it never fails, and what is shown keeps to the rules."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_apps import clinical
from smart_apps.ehr.cds_cards import INDICATORS, answer_to_cards, web_url
from smart_apps.ehr.clinical_rows import findings, medication_row
from smart_apps.ehr.markdown import markdown_to_html
from smart_apps.explainer import page
from smart_apps.explainer.assessment import resource_to_assessment
from smart_apps.explainer.reading import Explanation
from smart_apps.explainer.view import facts
from tests.journeys import cds_double, risk_chart

LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=12)
LAUNCH = {"https://app.example/explain/launch": "explainer"}
CARD = cds_double.card("https://app.example/explain/launch", "r1", "https://cds.example")


def bent(whole: Any, draw: Any) -> Any:
    """Replace a few parts of a valid document by anything."""
    if draw(st.integers(0, 9)) == 0:
        return draw(JSON)
    if isinstance(whole, dict):
        return {name: bent(value, draw) for name, value in whole.items()}
    return [bent(value, draw) for value in whole] if isinstance(whole, list) else whole


@st.composite
def bent_cards(draw: Any) -> Any:
    return bent({"cards": [CARD, CARD]}, draw)


@st.composite
def bent_risks(draw: Any) -> Any:
    return bent(risk_chart.versions()[-1], draw)


@st.composite
def bent_observations(draw: Any) -> Any:
    return [bent(resource, draw) for resource in risk_chart.resources()]


@pytest.mark.conformance("CDS client", "any JSON as an answer gives cards that keep to the rules, or a sentence")
@given(answer=JSON | bent_cards())
def test_any_answer_is_cards_that_keep_to_the_rules_or_a_sentence(answer: Any) -> None:
    reading = answer_to_cards(answer, LAUNCH)
    for card in reading.cards:
        assert 0 < len(card.summary) < 140
        assert card.indicator in INDICATORS
        assert card.source
        assert all(link.url.startswith(("http://", "https://")) for link in card.links)
        assert all(link.url in LAUNCH for link in card.links if link.client)
        markdown_to_html(card.detail).encode()
    if not reading.cards:
        assert reading.problems or answer["cards"] == []


@given(text=st.text(max_size=200) | st.sampled_from(["<script>alert(1)</script>", "[a](javascript:alert(1))", "![x](https://e.example/p.png)", "<img src=x onerror=y>", "[a](//e.example)"]))
def test_markdown_can_do_nothing(text: str) -> None:
    html = markdown_to_html(text)
    assert not re.search(r"<(script|img|iframe|style|form|svg|object)", html, re.IGNORECASE)
    for tag in re.findall(r"<[a-z][^>]*>", html):
        assert re.fullmatch(r'<[a-z0-9]+( (href|title)="[^"]*"| target="_blank"| rel="noopener noreferrer")*>', tag), tag
        assert "javascript:" not in tag.lower().split("title=")[0]


@given(url=st.text(max_size=60) | st.sampled_from(["javascript:alert(1)", "data:text/html,x", "https://u:p@h", "http://[", "//h", "https://h/ x"]))
def test_a_web_address_is_http_or_nothing(url: str) -> None:
    found = web_url(url)
    assert found in ("", url)
    assert not found or found.startswith(("http://", "https://", "HTTP", "Http", "hTTP", "HtTP"))


@pytest.mark.conformance("Explanation page", "any RiskAssessment, however odd, renders a page")
@given(resource=bent_risks() | st.dictionaries(st.text(max_size=8), JSON, max_size=4))
def test_any_risk_assessment_renders_a_page(resource: dict[str, Any]) -> None:
    resource = resource if isinstance(resource, dict) else {}
    assessment = resource_to_assessment(resource)
    explanation = Explanation(None, assessment, (assessment,), dict.fromkeys(assessment.basis), ())
    page.explanation(facts(explanation, banner=True, labels="https://ehr.example/cds-services/models/")).encode()


@given(observations=bent_observations())
def test_any_observation_is_a_row(observations: list[Any]) -> None:
    resources = [resource for resource in observations if isinstance(resource, dict)]
    findings(resources)
    for resource in resources:
        medication_row(resource)
        clinical.measured(resource)
        json.dumps([clinical.when(resource), clinical.status(resource), clinical.person(resource)])
