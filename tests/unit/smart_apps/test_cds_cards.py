"""Cards, read with suspicion; and the traffic with the token blanked."""

import json
from typing import Any

import pytest

from smart_apps.ehr.cds_cards import MAX_CARDS, answer_to_cards
from smart_apps.ehr.cds_client import Exchange
from smart_apps.ehr.cds_prefetch import resolve, tokens, types
from smart_apps.ehr.deadline import TooLateError, side_by_side
from smart_apps.ehr.markdown import markdown_to_html
from smart_apps.ehr.traffic import BLANK, exchange_to_traffic
from tests.journeys import cds_double

LAUNCH = "https://app.example/explain/launch"
APPS = {LAUNCH: "explainer"}


def card(**changes: Any) -> dict[str, Any]:
    return {**cds_double.card(LAUNCH, "r1", "https://cds.example"), **changes}


def read(*cards: Any) -> Any:
    return answer_to_cards({"cards": list(cards)}, APPS)


def test_a_card_is_read_with_links_and_reasons() -> None:
    (found,) = read(card()).cards
    assert found.summary == "10-year risk of stroke 5.7 %, beside a baseline of 2.8 %"
    assert [(link.client, link.app_context) for link in found.links] == [("explainer", '{"riskAssessment": "r1"}'), ("", "")]
    assert [reason.code for reason in found.reasons] == ["already-addressed", "wrong-data"]
    assert (found.indicator, found.source) == ("warning", "Chartloop stroke risk")


@pytest.mark.conformance("CDS client", "a card that breaks the rules is left out with a sentence; the others are shown")
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"summary": "x" * 140}, "longer than 139"),
        ({"summary": ""}, "no summary"),
        ({"summary": None}, "no summary"),
        ({"indicator": "hard-stop"}, "indicator is none of"),
        ({"indicator": ["info"]}, "indicator is none of"),
        ({"source": {}}, "no source.label"),
        ({"source": "me"}, "no source.label"),
    ],
)
def test_a_card_that_breaks_the_rules_is_left_out(changes: dict[str, Any], why: str) -> None:
    reading = read(card(), card(**changes))
    assert len(reading.cards) == 1
    assert "Card 2 is not shown" in reading.problems[0]
    assert why in reading.problems[0]


@pytest.mark.conformance("CDS client", "a smart link starts registered apps alone; other schemes are left out")
@pytest.mark.parametrize(
    "link",
    [
        {"label": "x", "type": "smart", "url": "https://evil.example/launch"},
        {"label": "x", "type": "smart", "url": f"{LAUNCH}?x"},
        {"label": "x", "type": "smart", "url": LAUNCH, "appContext": {"a": 1}},
        {"label": "x", "type": "smart", "url": LAUNCH, "appContext": "x" * 2001},
        {"label": "x", "type": "absolute", "url": "javascript:alert(1)"},
        {"label": "x", "type": "relative", "url": "https://e.example"},
        {"label": "", "type": "absolute", "url": "https://e.example"},
    ],
)
def test_a_link_that_leads_elsewhere_is_left_out(link: dict[str, Any]) -> None:
    reading = read(card(links=[link]))
    assert reading.cards[0].links == ()
    assert "A link of card 1 is left out" in reading.problems[0]


def test_too_many_cards_and_repeated_uuids_are_told() -> None:
    reading = read(*[card()] * (MAX_CARDS + 5))
    assert len(reading.cards) == MAX_CARDS
    assert len(reading.problems) == 2


@pytest.mark.parametrize("answer", [None, [], "cards", {"cards": {}}, {}, 7])
def test_an_answer_without_cards_is_a_sentence(answer: Any) -> None:
    assert answer_to_cards(answer, APPS).problems == ("The answer holds no list of cards.",)


def test_a_table_is_drawn_and_markup_is_text() -> None:
    html = markdown_to_html("| a | b |\n| --- | ---: |\n| **x** | <b onclick=y>z</b> |\n\n[ok](https://e.example)")
    assert "<td><strong>x</strong></td>" in html
    assert "&lt;b onclick" in html
    assert 'href="https://e.example"' in html
    assert "noopener" in html


@pytest.mark.conformance("CDS client", "the token of a call is never shown, also where the service sends it back")
def test_the_token_is_blanked_on_both_sides() -> None:
    secret = "s3cr3t-t0ken"
    escaped = "".join(f"\\u{ord(c):04x}" for c in secret)
    request = json.dumps({"fhirAuthorization": {"access_token": secret}}).encode()
    response = f'{{"cards": [], "a": "{secret}", "b": "{escaped}"}}'.encode()
    shown = exchange_to_traffic(Exchange("https://cds.example", request, secret, 200, response, 0.0123))
    assert secret not in str(shown)
    assert (shown.request.count(BLANK), shown.response.count(BLANK)) == (1, 2)
    assert (shown.request_size, shown.milliseconds, shown.status) == (f"{len(request)} bytes", "12 ms", "HTTP 200")
    assert secret not in repr(Exchange("u", b"", secret))


def test_traffic_that_is_no_json_is_shown_as_it_is_and_cut() -> None:
    shown = exchange_to_traffic(Exchange("u", b"", "", 0, b"<html>\xff" + b"x" * 100_000))
    assert shown.response.startswith("<html>\ufffd")
    assert shown.response.endswith("cut here")
    assert shown.status == "no answer"


def test_tokens_of_prefetch_are_those_of_patient_view() -> None:
    assert tokens("Practitioner/7", "p1") == {"context.userId": "Practitioner/7", "context.patientId": "p1", "userPractitionerId": "7"}
    assert tokens("Organization/7", "p1") == {"context.userId": "Organization/7", "context.patientId": "p1"}


def test_only_clinical_types_are_shared() -> None:
    assert types({"a": "Patient/1", "b": "RiskAssessment?x=y", "c": "DocumentReference?x=y", "d": "Claim", "e": "nonsense"}) == ("Patient", "RiskAssessment")


class Recorder:
    """A chart that says what it is asked."""

    def resource(self, type_: str, id_: str) -> dict[str, str]:
        return {"read": f"{type_}/{id_}"}

    def bundle(self, type_: str, query: str) -> dict[str, str]:
        return {"searched": f"{type_}?{query}"}


def test_templates_are_filled_in_and_strange_ones_left_out() -> None:
    templates = {
        "patient": "Patient/{{context.patientId}}",
        "user": "Observation?performer={{ context.userId }}",
        "unknown": "Encounter/{{context.encounterId}}",
        "notes": "DocumentReference?patient={{context.patientId}}",
        "path": "Patient/../Claim",
        "empty": "",
    }
    found = resolve(Recorder(), templates, tokens("Practitioner/7", "p 1&x=y"))  # type: ignore[arg-type]
    assert found == {"user": {"searched": "Observation?performer=Practitioner/7"}}
    found = resolve(Recorder(), templates, tokens("Practitioner/7", "p1"))  # type: ignore[arg-type]
    assert found["patient"] == {"read": "Patient/p1"}


def test_whoever_waits_is_let_go_at_the_deadline() -> None:
    import threading

    never = threading.Event()

    def hang() -> int:
        never.wait(30)
        return 1

    def fail() -> int:
        raise ValueError

    late, failed, done = side_by_side([hang, fail, lambda: 3], 0.2)
    never.set()
    assert isinstance(late, TooLateError)
    assert isinstance(failed, ValueError)
    assert done == 3
