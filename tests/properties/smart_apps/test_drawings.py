"""Drawings of any numbers and any texts are XML, and stay inside their frame."""

import math
import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from smart_apps.explainer.assessment import MAX_LOG_ODDS
from smart_apps.explainer.drawing import logit, percent, probability_of, probability_ticks, round_ticks
from smart_apps.explainer.trend import Point, trend
from smart_apps.explainer.waterfall import Step, bars, waterfall

PROBABILITY = st.floats(0, 1)
LOG_ODDS = st.floats(-MAX_LOG_ODDS, MAX_LOG_ODDS)
STEPS = st.lists(st.builds(Step, st.text(max_size=80), st.text(max_size=40), LOG_ODDS), max_size=100)
POINTS = st.lists(st.builds(Point, st.integers(-(2**62), 2**62), st.text(max_size=12), st.none() | PROBABILITY, st.booleans()), max_size=50)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
PLACES = {"x", "x1", "x2", "cx"}, {"y", "y1", "y2", "cy"}
SIZES = {"width", "height", "r"}


def assert_inside(svg: str) -> None:
    """Parse a drawing, and look at every coordinate of it."""
    root = ET.fromstring(svg)
    left, top, width, height = (float(part) for part in root.attrib["viewBox"].split())
    assert (left, top) == (0, 0)
    assert math.isfinite(height)
    for node in root.iter():
        for names, most in zip(PLACES, (width, height), strict=True):
            for name in names & node.attrib.keys():
                assert 0 <= float(node.attrib[name]) <= most, (node.tag, name, node.attrib)
        for name in SIZES & node.attrib.keys():
            assert 0 <= float(node.attrib[name]) <= max(width, height)
        if node.tag.endswith("rect"):
            assert float(node.attrib["x"]) + float(node.attrib["width"]) <= width + 0.01
            assert float(node.attrib["y"]) + float(node.attrib["height"]) <= height + 0.01
        if node.tag.endswith("path"):
            numbers = [float(found) for found in NUMBER.findall(node.attrib["d"])]
            assert all(0 <= x <= width for x in numbers[::2])
            assert all(0 <= y <= height for y in numbers[1::2])
    assert not re.search(r"\b(nan|inf)\b", svg)


@pytest.mark.conformance("Explanation page", "the waterfall is well-formed and inside its frame for any contributions")
@settings(max_examples=300)
@given(baseline=PROBABILITY, steps=STEPS, risk=PROBABILITY, title=st.text(max_size=60))
@example(baseline=0.0, steps=[], risk=1.0, title="")
@example(baseline=0.5, steps=[Step("]]></svg><script>", '"&', 50.0)] * 100, risk=0.0, title="\x00\ud800<")
@example(baseline=0.028, steps=[Step("a", "", 0.0)], risk=0.028, title="same")
def test_a_waterfall_is_xml_and_inside_its_frame(baseline: float, steps: list[Step], risk: float, title: str) -> None:
    assert_inside(waterfall(baseline, steps, risk, title))


@pytest.mark.conformance("Explanation page", "the trend is well-formed and inside its frame for any versions")
@settings(max_examples=300)
@given(points=POINTS, title=st.text(max_size=60))
@example(points=[Point(1, "d", 0.0)], title="one of nothing")
@example(points=[Point(5, "d", 1.0), Point(5, "d", 1e-300)], title="at once")
def test_a_trend_is_xml_and_inside_its_frame(points: list[Point], title: str) -> None:
    drawn = trend(points, title)
    if any(point.probability is not None for point in points):
        assert_inside(drawn)
    else:
        assert drawn == ""


@given(baseline=PROBABILITY, steps=STEPS, risk=PROBABILITY)
def test_bars_lead_from_the_baseline_to_the_risk(baseline: float, steps: list[Step], risk: float) -> None:
    made = bars(baseline, steps, risk)
    at = logit(baseline)
    for bar in made:
        assert bar.start == pytest.approx(at, abs=1e-6)
        at = bar.end
    assert at == pytest.approx(logit(risk), abs=0.006)
    assert len(made) <= 11


@given(low=st.floats(-14.7, 14.2), spread=st.floats(0.5, 30))
def test_ticks_are_round_few_and_in_order(low: float, spread: float) -> None:
    ticks = probability_ticks(low, low + spread)
    assert 2 <= len(ticks) <= 6
    assert ticks == sorted(ticks)
    assert all(0 <= p <= 1 for p in ticks)


@given(top=st.floats(0.01, 1))
def test_steps_of_an_axis_reach_its_top(top: float) -> None:
    ticks = round_ticks(top)
    assert ticks[0] == 0
    assert top <= ticks[-1] * (1 + 1e-6)
    assert 2 <= len(ticks) <= 9


@given(p=PROBABILITY)
def test_a_percentage_never_says_none_or_all(p: float) -> None:
    assert not percent(p).startswith(("0.0\N{NO-BREAK SPACE}", "100"))
    assert probability_of(logit(p)) == pytest.approx(min(1 - 1e-6, max(1e-6, p)))
