"""Whatever a prediction holds, its card is one that the standard allows and that nobody can abuse."""

import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from cds_hooks.card_id import card_id, model_of
from cds_hooks.contribution import percentage_points
from cds_hooks.markdown import escape, plain, shorten
from cds_hooks.prefetch import read_prefetch
from cds_hooks.request import HookRequest
from cds_hooks.risk_card import Surroundings, risk_cards
from cds_hooks.risk_models import RISK_MODELS
from cds_hooks.stored_prediction import Factor, Prediction, read_prediction
from chartloop.kernel.errors import Invalid
from tests.unit.cds_hooks.samples import KEY, RISK, ROOT, bundle

NOW = 1_795_334_400_000_000
TEXT = st.text(max_size=400) | st.sampled_from(
    ["", "<script>alert(1)</script>", "a|b|c", "](javascript:alert(1))", "![i](http://x)", "`|`", "\\|", "\\", "**", "\n\n# h\n\n- x\n", "&lt;b&gt;", "\u202e", "😀" * 200, "http://x.example/", "| --- |"]
)
LINE = TEXT.map(lambda text: text.replace("\x00", ""))
LOG_ODDS = st.floats(allow_nan=False, allow_infinity=False)
SHARE = st.floats(0, 1)
FACTORS = st.lists(st.builds(Factor, LINE, LINE, LINE, st.sampled_from(["", "2026-11-20"]), LOG_ODDS), max_size=8)
PREDICTIONS = st.lists(
    st.builds(
        Prediction,
        id=st.from_regex(r"[A-Za-z0-9.\-]{0,64}", fullmatch=True),
        version=LINE,
        model=st.sampled_from(sorted(RISK_MODELS)),
        model_name=LINE,
        model_version=LINE,
        outcome=LINE,
        made=st.integers(0, NOW + 10**15),
        probability=SHARE | st.none(),
        baseline=SHARE | st.none(),
        baseline_text=LINE,
        factors=FACTORS.map(tuple),
        missing=st.lists(LINE, max_size=30).map(tuple),
        labels_source=LINE,
    ),
    max_size=4,
)
AROUND = Surroundings(ROOT, f"{ROOT}/explain/launch", KEY, 10**14, lambda _: True, lambda _: True)
ALLOWED = {"p", "strong", "table", "thead", "tbody", "tr", "th", "td"}
CAUSAL = re.compile(r"\b(caus\w*|becaus\w+ of|due to|leads? to|driv\w+ by|result\w* from|prevent\w*|reduc\w+)\b", re.IGNORECASE)
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20), lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4), max_leaves=20)


def holes(value, path=""):
    """Places of null, or of what is empty."""
    if value is None or value in ("", [], {}):
        yield path
    for name, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from holes(inner, f"{path}/{name}")


@given(PREDICTIONS)
@pytest.mark.conformance("CDS Hooks 2.0", "@83: the summary has less than 140 characters, whatever the names in it")
@pytest.mark.conformance("CDS Hooks 2.0", "@3: no member of a card is null or empty")
@pytest.mark.conformance("CDS Hooks 2.0", "@88: the indicator is one of info, warning, critical; never critical here")
@pytest.mark.conformance("CDS Hooks 2.0", "@144-147: appContext is a string and stands with links of type smart only")
def test_every_card_is_one_that_the_standard_allows(predictions):
    made = risk_cards(predictions, AROUND, NOW)
    assert len(made) == len({prediction.model for prediction in predictions})
    for card in json.loads(json.dumps(made)):
        assert len(card["summary"].encode("utf-16-le")) // 2 <= 139
        assert "\n" not in card["summary"]
        assert card["indicator"] in ("info", "warning")
        assert {link["type"]: "appContext" in link for link in card["links"]}.get("absolute") is False
        assert all(isinstance(json.loads(link["appContext"]), dict) for link in card["links"] if link["type"] == "smart")
        assert {name for name in card if name not in ("links", "extension")} == {"uuid", "summary", "indicator", "detail", "source", "overrideReasons"}
        assert list(holes(card)) == []


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.text = [], []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, attrs))

    def handle_data(self, data):
        self.text.append(data)


def rendered(markdown):
    parser = Tags()
    parser.feed(MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough").render(markdown))
    return parser


@pytest.mark.long
@given(PREDICTIONS)
@pytest.mark.conformance("CDS Hooks 2.0", "@85: detail is GitHub Flavored Markdown")
@pytest.mark.conformance("Attacks", "29, 97: whatever a resource holds, a rendered card has no element but paragraphs, bold and one table")
def test_a_rendered_card_has_no_element_of_a_stranger(predictions):
    for card in risk_cards(predictions, AROUND, NOW):
        parser = rendered(card["detail"])
        assert {tag for tag, _ in parser.found} <= ALLOWED
        assert all(attrs == [] for _, attrs in parser.found)
        assert sum(tag == "th" for tag, _ in parser.found) in (0, 5)
        rows, cells = (sum(tag == name for tag, _ in parser.found) for name in ("tr", "td"))
        assert cells == 5 * max(0, rows - 1)


@given(LINE)
def test_what_was_escaped_is_read_as_it_was_written(text):
    assert plain("".join(rendered(f"x {escape(text, 400)} x").text)) == plain(f"x {shorten(text, 400)} x")


@given(LINE, st.integers(1, 200))
def test_what_is_shortened_fits(text, limit):
    assert len(shorten(text, limit).encode("utf-16-le")) // 2 <= limit


@given(PREDICTIONS.map(lambda found: [each.__class__(**{**{name: getattr(each, name) for name in each.__slots__}, **dict.fromkeys(("outcome", "model_name", "model_version", "baseline_text", "labels_source"), "x"), "missing": ("y",), "factors": tuple(Factor("f", "l", "v", "", factor.log_odds) for factor in each.factors)}) for each in found]))  # fmt: skip
@pytest.mark.conformance("Card", "the words of a card claim no cause")
def test_our_own_words_claim_no_cause(predictions):
    for card in risk_cards(predictions, AROUND, NOW):
        assert CAUSAL.findall(card["summary"] + card["detail"]) == []


@given(SHARE, LOG_ODDS)
def test_a_size_has_the_sign_of_its_contribution_and_is_bounded(probability, log_odds):
    points = percentage_points(probability, log_odds)
    assert -100 <= points <= 100
    assert abs(points) < 1e-9 or (points > 0) == (log_odds > 0)


@given(st.sampled_from(sorted(RISK_MODELS)), st.text(max_size=80), st.text(max_size=40), st.sampled_from(["risk", "stale"]))
def test_an_issued_card_is_recognised(model, prediction, version, kind):
    issued = card_id(KEY, model, prediction, version, kind)
    assert model_of(KEY, issued, RISK_MODELS) == model_of(KEY, issued.upper(), RISK_MODELS) == model
    assert model_of(KEY[::-1], issued, RISK_MODELS) is None
    assert model_of(KEY, "{" + issued + "}", RISK_MODELS) is None


@given(st.uuids())
def test_a_card_that_was_made_up_is_not_recognised(invented):
    assert model_of(KEY, str(invented), RISK_MODELS) is None


@given(JSON)
@pytest.mark.conformance("Attacks", "60: whatever stands in a prefetch, the answer is cards or a refusal with a path")
def test_any_prefetch_is_read_or_refused(value):
    for prefetch in ({"risk": value}, {"patient": value}, {"risk": {"resourceType": "Bundle", "entry": value}}, {"risk": bundle({"resourceType": "RiskAssessment", "subject": value})}):
        paths = ["prefetch"]
        try:
            read_prefetch(HookRequest("Practitioner/1", "p1", "", None, prefetch))
        except Invalid as refused:
            paths = [issue.expression for issue in refused.issues]
        assert all(path.startswith("prefetch") for path in paths)


@given(st.sampled_from(sorted(RISK)), JSON)
def test_any_member_of_a_prediction_is_read_or_refused(name, value):
    found, wrong = read_prediction({**RISK, name: value})
    assert found is None or wrong == []
    found, wrong = read_prediction({**RISK, "extension": [{**RISK["extension"][1], "extension": value}, {**RISK["extension"][0], "extension": value}]})
    assert found is None or wrong == []
