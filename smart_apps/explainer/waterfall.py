"""The way from the baseline to this patient's estimate, factor by factor, as inline SVG. Pure.

Lengths are log-odds, in which contributions add up; the axis is labelled in probability, in which people think.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smart_apps.explainer.drawing import element, logit, percent, picture, probability_of, probability_ticks, spaced, tick_label, words

WIDTH = 400.0
LEFT, RIGHT = 10.0, 390.0
ROW = 46.0
TOP = 8.0
AXIS = 30.0
MOST = 9
EDGE_LOG_ODDS = 14.0
NARROWEST = 0.6
LABEL = 34
UNLISTED = 0.005


@dataclass(frozen=True, slots=True)
class Step:
    """One bar.

    Attributes:
        label: The factor.
        value: What it is for this patient.
        log_odds: How far it moves the estimate.
    """

    label: str
    value: str
    log_odds: float


@dataclass(frozen=True, slots=True)
class Bar:
    """A step with where it starts and ends, in log-odds."""

    step: Step
    start: float
    end: float

    @property
    def direction(self) -> str:
        """What it does to the estimate, in a word."""
        return direction(self.step.log_odds)


def direction(log_odds: float) -> str:
    """Say what log-odds do to the estimate."""
    return "raises" if log_odds > 0 else "lowers" if log_odds < 0 else "same"


def size(log_odds: float) -> str:
    """Write log-odds with a sign that can be read."""
    return f"{log_odds:+.2f}".replace("-", "\N{MINUS SIGN}")


def bars(baseline: float, steps: Sequence[Step], risk: float) -> list[Bar]:
    """Order the steps by size, join the smallest, and let them end at the risk.

    Args:
        baseline: Probability where it starts.
        steps: Any number of them, finite log-odds.
        risk: Probability where it ends; what the steps do not sum up to becomes a bar that says so.
    """
    ordered = sorted(steps, key=lambda step: -abs(step.log_odds))
    shown, rest = (ordered, []) if len(ordered) <= MOST + 1 else (ordered[:MOST], ordered[MOST:])
    if rest:
        shown = [*shown, Step(f"{len(rest)} smaller factors together", "", sum(step.log_odds for step in rest))]
    unlisted = logit(risk) - logit(baseline) - sum(step.log_odds for step in ordered)
    if abs(unlisted) > UNLISTED:
        shown = [*shown, Step("Not itemised by the model", "", unlisted)]
    made: list[Bar] = []
    at = logit(baseline)
    for step in shown:
        made.append(Bar(step, at, at + step.log_odds))
        at += step.log_odds
    return made


def waterfall(baseline: float, steps: Sequence[Step], risk: float, title: str) -> str:
    """Draw the waterfall.

    Args:
        baseline: Probability, 0 to 1.
        steps: Contributions, finite log-odds.
        risk: Probability, 0 to 1.
        title: What it is, for those who do not see it.

    Returns:
        An svg element, well-formed XML; every coordinate lies inside its view box.
    """
    made = bars(baseline, steps, risk)
    height = TOP + ROW * (len(made) + 2) + AXIS
    scale = _Scale([logit(baseline), logit(risk), *(bar.end for bar in made)])
    parts = [_pattern(), *_axis(scale, height), _end(scale, 0, "Baseline", baseline, "base")]
    parts += [_row(scale, n, bar) for n, bar in enumerate(made, start=1)]
    parts += [_end(scale, len(made) + 1, "This patient", risk, "risk")]
    return picture("waterfall", WIDTH, height, title, _in_words(baseline, made, risk), parts)


class _Scale:
    """Log-odds to x; both ends are kept inside what can be drawn and named."""

    def __init__(self, values: Sequence[float]) -> None:
        kept = [_kept(value) for value in values]
        low, high = min(kept), max(kept)
        spare = max(0.06 * (high - low), (NARROWEST - (high - low)) / 2)
        self.low, self.high = low - spare, high + spare

    def x(self, log_odds: float) -> float:
        return LEFT + (RIGHT - LEFT) * (_kept(log_odds) - self.low) / (self.high - self.low)


def _kept(log_odds: float) -> float:
    return max(-EDGE_LOG_ODDS, min(EDGE_LOG_ODDS, log_odds))


def _pattern() -> str:
    stripe = element("path", d="M0 6 L6 0", class_="hatch")
    return element("defs", element("pattern", stripe, id="hatched", width=6, height=6, patternUnits="userSpaceOnUse"))


def _axis(scale: _Scale, height: float) -> list[str]:
    bottom = height - AXIS + 4
    ticks = probability_ticks(scale.low, scale.high)
    places = [min(RIGHT, max(LEFT, scale.x(logit(p)))) for p in ticks]
    drawn = [element("line", x1=LEFT, y1=bottom, x2=RIGHT, y2=bottom, class_="axis")]
    for index in spaced(places, 48):
        at, anchor = places[index], "middle"
        if at < LEFT + 24:
            anchor = "start"
        elif at > RIGHT - 24:
            anchor = "end"
        drawn += [
            element("line", x1=at, y1=TOP, x2=at, y2=bottom + 4, class_="grid"),
            words(tick_label(ticks[index]), 12, x=at, y=bottom + 18, class_="tick", text_anchor=anchor),
        ]
    return drawn


def _row(scale: _Scale, row: int, bar: Bar) -> str:
    y = TOP + row * ROW
    start, end = scale.x(bar.start), scale.x(bar.end)
    arrow = {"raises": "▲", "lowers": "▼", "same": "="}[bar.direction]
    said = f"{bar.step.label}: {bar.step.value}"
    said = said if bar.step.value and len(said) <= LABEL else bar.step.label
    return element(
        "g",
        words(said, LABEL, x=LEFT, y=y + 14, class_="label")
        + words(f"{arrow} {bar.direction} {size(bar.step.log_odds)}", 24, x=RIGHT, y=y + 14, class_=f"size {bar.direction}", text_anchor="end")
        + element("rect", x=min(start, end), y=y + 21, width=max(1.0, abs(end - start)) if max(start, end) < RIGHT else abs(end - start), height=14, class_=f"bar {bar.direction}")
        + element("line", x1=end, y1=y + 21, x2=end, y2=y + ROW + 21, class_="joint"),
        class_="row",
    )


def _end(scale: _Scale, row: int, label: str, probability: float, kind: str) -> str:
    y, x = TOP + row * ROW, scale.x(logit(probability))
    joint = element("line", x1=x, y1=y + 35, x2=x, y2=y + ROW + 21, class_="joint") if kind == "base" else ""
    diamond = f"M{x:.2f} {y + 20:.2f} L{min(WIDTH, x + 8):.2f} {y + 28:.2f} L{x:.2f} {y + 36:.2f} L{max(0.0, x - 8):.2f} {y + 28:.2f} Z"
    return element(
        "g",
        words(label, 38, x=LEFT, y=y + 14, class_="label end")
        + words(percent(probability), 12, x=RIGHT, y=y + 14, class_="size end", text_anchor="end")
        + joint
        + element("path", d=diamond, class_=f"point {kind}"),
        class_="row",
    )


def _in_words(baseline: float, made: Sequence[Bar], risk: float) -> str:
    told = [f"{bar.step.label} {bar.direction} it to {percent(probability_of(bar.end))}" for bar in made]
    return f"From the baseline of {percent(baseline)} to {percent(risk)}: {'; '.join(told) or 'no factors are stored'}."
