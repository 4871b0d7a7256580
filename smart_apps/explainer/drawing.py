"""Small pieces of inline SVG: elements with escaped text, log-odds, percentages, and ticks that can be read.

Spec: https://www.w3.org/TR/SVG2/
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from xml.sax.saxutils import escape, quoteattr

from smart_apps.clinical import text

EDGE = 1e-6  # a probability of 0 or 1 has no finite log-odds
SPACE = "\N{NO-BREAK SPACE}"
_STEPS = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0), tuple(n / 10 for n in range(10, 50)) + tuple(n / 10 for n in range(50, 100, 2)))
_ENOUGH = 3


def element(name: str, content: str = "", **attributes: str | float) -> str:
    """Write one element; `content` is markup already, `class_` and `stroke_width` become class and stroke-width."""
    written = "".join(f" {key.rstrip('_').replace('_', '-')}={quoteattr(_plain(value))}" for key, value in attributes.items())
    return f"<{name}{written}>{content}</{name}>" if content else f"<{name}{written}/>"


def _plain(value: str | float) -> str:
    return text(value, 1_000_000) if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")


def words(content: str, limit: int, **attributes: str | float) -> str:
    """Write one line of text, cut to so many characters."""
    return element("text", escape(text(content, limit)) or " ", **attributes)


def picture(name: str, width: float, height: float, title: str, description: str, parts: Iterable[str]) -> str:
    """Write the svg element, named by its title and described for those who do not see it."""
    labels = element("title", escape(text(title)), id=f"{name}-title") + element("desc", escape(text(description, 4000)), id=f"{name}-desc")
    return element(
        "svg",
        labels + "".join(parts),
        xmlns="http://www.w3.org/2000/svg",
        class_=f"chart {name}",
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_labelledby=f"{name}-title",
        aria_describedby=f"{name}-desc",
    )


def logit(probability: float) -> float:
    """Give the log-odds of a probability, which is kept off 0 and 1."""
    kept = min(1 - EDGE, max(EDGE, probability))
    return math.log(kept / (1 - kept))


def probability_of(log_odds: float) -> float:
    """Give the probability of log-odds."""
    return 1 / (1 + math.exp(-max(-700.0, min(700.0, log_odds))))


def percent(probability: float) -> str:
    """Write a probability for people; one of none and one of all are not said of an estimate."""
    if probability < 0.001:
        return f"<{SPACE}0.1{SPACE}%"
    if probability > 0.999:
        return f">{SPACE}99.9{SPACE}%"
    return f"{probability * 100:.1f}{SPACE}%"


def tick_label(probability: float) -> str:
    """Write a probability at an axis."""
    return f"{probability * 100:.7g}{SPACE}%"


def probability_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Choose round probabilities between two log-odds; the ends themselves where fewer than two lie between."""
    inside: list[float] = []
    for steps in _STEPS:
        inside = [p for p in _round(steps) if low <= logit(p) <= high]
        if len(inside) >= _ENOUGH:
            break
    if len(inside) < 2:
        return [float(f"{probability_of(end):.3g}") for end in (low, high)]
    return inside[:: math.ceil(len(inside) / most)]


def _round(steps: Sequence[float]) -> list[float]:
    """Give round probabilities on both sides of one half, ascending."""
    small = [round(step * 10.0**power, 9) for power in range(-6, 0) for step in steps if step * 10.0**power < 0.5]
    return sorted({*small, 0.5, *(round(1 - p, 9) for p in small)})


def round_ticks(top: float, wanted: int = 4) -> list[float]:
    """Choose equal round steps from 0 to at least `top`, which lies above 0 and is at most 1."""
    rough = top / wanted
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(scale * factor for factor in (1, 2, 2.5, 5, 10) if scale * factor >= rough * (1 - 1e-9))
    return [step * n for n in range(math.ceil(top / step - 1e-9) + 1)]


def spaced(positions: Sequence[float], gap: float) -> list[int]:
    """Give the indexes of positions, from the last backwards, that keep a gap to their neighbours; in order."""
    kept: list[int] = []
    for index in range(len(positions) - 1, -1, -1):
        if not kept or abs(positions[kept[-1]] - positions[index]) >= gap:
            kept.append(index)
    return kept[::-1]
