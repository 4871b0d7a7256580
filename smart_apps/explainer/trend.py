"""The estimate over its stored versions, as inline SVG. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smart_apps.explainer.drawing import element, percent, picture, round_ticks, spaced, tick_label, words

WIDTH, HEIGHT = 400.0, 236.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 384.0, 22.0, 196.0
LOWEST_TOP = 0.01


@dataclass(frozen=True, slots=True)
class Point:
    """One version of the estimate.

    Attributes:
        at_us: When, in microseconds since 1970.
        day: The same for people.
        probability: 0 to 1; None where no estimate could be made, which breaks the line.
        same_model: Whether the model and its version are those of the newest.
    """

    at_us: int
    day: str
    probability: float | None
    same_model: bool = True


def trend(points: Sequence[Point], title: str) -> str:
    """Draw the trend, oldest first whatever the order given; an empty text when there is no estimate at all.

    Returns:
        An svg element, well-formed XML; every coordinate lies inside its view box.
    """
    ordered = sorted(points, key=lambda point: point.at_us)
    risks = [point.probability for point in ordered if point.probability is not None]
    if not risks:
        return ""
    ticks = round_ticks(max(LOWEST_TOP, min(1.0, max(risks) * 1.1)))
    places = [_x(point, ordered) for point in ordered]
    parts = [*_axis(ticks), *_days(ordered, places), *_line(ordered, places, ticks[-1]), *_marks(ordered, places, ticks[-1])]
    return picture("trend", WIDTH, HEIGHT, title, _in_words(ordered), parts)


def _x(point: Point, ordered: Sequence[Point]) -> float:
    first, last = ordered[0].at_us, ordered[-1].at_us
    share = (point.at_us - first) / (last - first) if last > first else 0.5
    return LEFT + 14 + (RIGHT - LEFT - 28) * share


def _y(probability: float, top: float) -> float:
    return BOTTOM - (BOTTOM - TOP) * min(1.0, max(0.0, probability / top))


def _axis(ticks: Sequence[float]) -> list[str]:
    drawn = []
    for tick in ticks:
        y = _y(tick, ticks[-1])
        drawn.append(element("line", x1=LEFT, y1=y, x2=RIGHT, y2=y, class_="axis" if tick == 0 else "grid"))
        drawn.append(words(tick_label(tick), 12, x=LEFT - 6, y=y + 4, class_="tick", text_anchor="end"))
    return drawn


def _days(ordered: Sequence[Point], places: Sequence[float]) -> list[str]:
    drawn = []
    for index in spaced(places, 84):
        at = min(RIGHT - 36, max(36.0, places[index]))
        drawn.append(words(ordered[index].day, 12, x=at, y=BOTTOM + 22, class_="tick", text_anchor="middle"))
        drawn.append(element("line", x1=places[index], y1=BOTTOM, x2=places[index], y2=BOTTOM + 6, class_="axis"))
    return drawn


def _line(ordered: Sequence[Point], places: Sequence[float], top: float) -> list[str]:
    """Join neighbours that both hold an estimate."""
    joined = []
    for n in range(1, len(ordered)):
        before, after = ordered[n - 1].probability, ordered[n].probability
        if before is not None and after is not None:
            joined.append(f"M{places[n - 1]:.2f} {_y(before, top):.2f} L{places[n]:.2f} {_y(after, top):.2f}")
    return [element("path", d=" ".join(joined), class_="line")] if joined else []


def _marks(ordered: Sequence[Point], places: Sequence[float], top: float) -> list[str]:
    drawn = [_cross(places[n], BOTTOM - 12) for n, point in enumerate(ordered) if point.probability is None]
    known = [n for n, point in enumerate(ordered) if point.probability is not None]
    named = {known[0], known[-1]} if abs(places[known[-1]] - places[known[0]]) > 60 else {known[-1]}
    for n in known:
        probability = ordered[n].probability or 0.0
        x, y = places[n], _y(probability, top)
        drawn.append(
            element("circle", cx=x, cy=y, r=5, class_="mark") if ordered[n].same_model else element("rect", x=x - 4.5, y=y - 4.5, width=9, height=9, class_="mark other")
        )
        if n in named:
            at = min(WIDTH - 40, max(LEFT + 24, x))
            drawn.append(words(percent(probability), 12, x=at, y=max(14.0, y - 10), class_="size end", text_anchor="middle"))
    return drawn


def _cross(x: float, y: float) -> str:
    """Mark a version that holds no estimate."""
    return element("path", d=f"M{x - 4:.2f} {y - 4:.2f} L{x + 4:.2f} {y + 4:.2f} M{x + 4:.2f} {y - 4:.2f} L{x - 4:.2f} {y + 4:.2f}", class_="none")


def _in_words(ordered: Sequence[Point]) -> str:
    told = [f"{point.day} {'no estimate' if point.probability is None else percent(point.probability)}" for point in ordered]
    return f"{len(told)} stored versions, oldest first: {', '.join(told[-30:])}."
