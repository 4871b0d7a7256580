"""Stored predictions as cards: a result beside its baseline, or a word that there is none to rely on. Pure.

Words are chosen: a factor moves the result of a model; nothing here says that it made a patient ill, or that changing it would help.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cds_hooks.card_id import card_id
from cds_hooks.cards import Indicator, absolute_link, card, smart_link, source
from cds_hooks.contribution import percentage_points
from cds_hooks.markdown import escape, plain, shorten, table
from cds_hooks.risk_models import RISK_MODEL, RISK_MODELS
from cds_hooks.stored_prediction import Factor, Prediction
from chartloop.kernel.clock import iso

EXTENSION: Final = "example.chartloop.risk"
MOST_FACTORS: Final = 5
LEAST_FACTORS: Final = 3
MOST_MISSING: Final = 12
_REASON: Final = "; "
PARAGRAPH: Final = 400
_SMALL_POINTS: Final = 0.05
_HEAD: Final = ("Factor", "Value", "Recorded", "In the model", "Size")
_SIZES: Final = (
    "Size: by how many percentage points the result of the model would differ if this one contribution were taken back to the baseline."
    " Sizes do not add up. They describe the calculation, not what a change of the value would do for the patient."
)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the cards need besides predictions.

    Attributes:
        base: Public URL of this server, without a path.
        explainer_url: Launch URL of the explanation app.
        key: Secret that signs card ids.
        stale_after_us: Age from which a prediction is not shown any more.
        validated: Whether a local validation record of a model exists.
        labelled: Whether a model has a label page.
    """

    base: str
    explainer_url: str
    key: bytes
    stale_after_us: int
    validated: Callable[[str], bool]
    labelled: Callable[[str], bool]


def risk_cards(predictions: Iterable[Prediction], around: Surroundings, now_us: int) -> list[dict[str, Any]]:
    """Make at most one card for each model: results first, the highest of them on top, then what cannot be shown."""
    newest: dict[str, Prediction] = {}
    for prediction in sorted(predictions, key=lambda each: each.made):
        newest[prediction.model] = prediction
    shown = [each for each in newest.values() if not RISK_MODELS[each.model].needs_validation or around.validated(each.model)]

    def rank(each: Prediction) -> tuple[bool, float]:
        useless = each.probability is None or _stale(each, around, now_us)
        return useless, -(each.probability or 0.0)

    return [_card(each, around, now_us) for each in sorted(shown, key=rank)]


def _stale(prediction: Prediction, around: Surroundings, now_us: int) -> bool:
    return now_us - prediction.made > around.stale_after_us


def _card(prediction: Prediction, around: Surroundings, now_us: int) -> dict[str, Any]:
    if prediction.probability is None:
        return _info_card(prediction, around, "incomplete", *_incomplete(prediction))
    if _stale(prediction, around, now_us):
        return _info_card(prediction, around, "stale", *_out_of_date(prediction))
    return _result_card(prediction, prediction.probability, around)


def _result_card(prediction: Prediction, probability: float, around: Surroundings) -> dict[str, Any]:
    indicator: Indicator = "warning" if probability >= RISK_MODELS[prediction.model].warning_at else "info"
    factors = largest(prediction.factors, probability)
    return _rendered(
        prediction,
        around,
        kind="risk",
        summary=_summary(prediction, probability),
        indicator=indicator,
        detail=_detail(prediction, probability, factors),
        extension={EXTENSION: _for_machines(prediction, probability, factors)},
    )


def _info_card(prediction: Prediction, around: Surroundings, kind: str, summary: str, detail: str) -> dict[str, Any]:
    return _rendered(prediction, around, kind=kind, summary=summary, indicator="info", detail=detail, extension=None)


def _rendered(
    prediction: Prediction, around: Surroundings, *, kind: str, summary: str, indicator: Indicator, detail: str, extension: dict[str, Any] | None
) -> dict[str, Any]:
    label_url = f"{around.base}/cds-services/models/{prediction.model}"
    labelled = around.labelled(prediction.model)
    links = [smart_link("How this was calculated", around.explainer_url, json.dumps({"riskAssessment": prediction.id}))] if prediction.id else []
    links += [absolute_link("About this model", label_url)] if labelled else []
    topic = {"system": RISK_MODEL, "code": prediction.model, "display": _name(prediction)}
    return card(
        uuid=card_id(around.key, prediction.model, prediction.id, prediction.version, kind),
        summary=summary,
        indicator=indicator,
        detail=detail,
        source=source("Chartloop", label_url if labelled else around.base, topic),
        links=links,
        extension=extension,
    )


def _summary(prediction: Prediction, probability: float) -> str:
    """The outcome may be long; the numbers are never what is cut off."""
    beside = f", baseline {percent(prediction.baseline)}" if prediction.baseline is not None else ""
    numbers = f": {percent(probability)}{beside}"
    return f"{_outcome(prediction)}{numbers} ({_name(prediction, 45)})"


def _detail(prediction: Prediction, probability: float, factors: Sequence[tuple[Factor, float]]) -> str:
    paragraphs = [_opening(prediction, probability)]
    if factors:
        paragraphs += [table(_HEAD, [_row(factor, points) for factor, points in factors]), _SIZES]
    return "\n\n".join([*paragraphs, *_closing(prediction)])


def _opening(prediction: Prediction, probability: float) -> str:
    result = f"**{escape(_outcome(prediction))}: {percent(probability)}.**"
    if prediction.baseline is None:
        return f"{result} The model gives no baseline."
    what = f", for {escape(prediction.baseline_text, PARAGRAPH)}" if plain(prediction.baseline_text) else ""
    return f"{result} Baseline: {percent(prediction.baseline)}{what}."


def _row(factor: Factor, points: float) -> tuple[str, ...]:
    towards = "raises the result" if points > 0 else "lowers the result"
    return escape(factor.label, 60) or "unnamed", escape(factor.value, 60) or "not given", escape(factor.date, 10) or "-", towards, f"{abs(points):.1f} points"


def _closing(prediction: Prediction) -> list[str]:
    lines = [f"Not recorded: {_listed(prediction.missing, escape)}."] if prediction.missing else []
    return [*lines, *_origin(prediction, "Calculated")]


def _origin(prediction: Prediction, verb: str) -> list[str]:
    """When, by which version of which model, from whose labels, and why the card is here."""
    version = f", version {escape(prediction.model_version, 40)}" if plain(prediction.model_version) else ""
    made = f"{verb} {_minute(prediction.made)} by {escape(_name(prediction))}{version}. You see this because the chart was opened."
    labels = plain(prediction.labels_source)
    return [made, f"The labels that the model was trained on: {escape(labels, PARAGRAPH)}"] if labels else [made]


def _incomplete(prediction: Prediction) -> tuple[str, str]:
    """What is not recorded, and before it what is recorded and keeps the model from answering: it says so in a sentence with a semicolon."""
    outcome, missing = _outcome(prediction), prediction.missing
    reasons = [reason for reason in missing if _REASON in reason]
    names = [name for name in missing if _REASON not in name]
    short = [*map(plain, reasons), *([f"not recorded: {_listed(names, plain)}"] if names else [])]
    wanted = [*(f"{escape(reason, PARAGRAPH)}." for reason in reasons[:MOST_MISSING]), *([f"Not recorded: {_listed(names, escape)}."] if names else [])]
    summary = f"{outcome}: not calculated, {', '.join(short) or 'inputs are missing'}"
    because = " ".join(wanted) or "Inputs are missing; the record does not say which."
    return summary, "\n\n".join([f"**{escape(outcome)}: not calculated.** {because}", *_origin(prediction, "Looked at")])


def _out_of_date(prediction: Prediction) -> tuple[str, str]:
    outcome, day = _outcome(prediction), iso(prediction.made)[:10]
    summary = f"{outcome}: the last result is of {day}, too old to be shown ({_name(prediction, 30)})"
    detail = f"**{escape(outcome)}: the stored result is out of date.** It was calculated on {day} and is not shown as today's."
    return summary, "\n\n".join([detail, *_closing(prediction)])


def _outcome(prediction: Prediction) -> str:
    return shorten(prediction.outcome, 60) or "Risk of stroke"


def _name(prediction: Prediction, limit: int = 80) -> str:
    return shorten(prediction.model_name, limit) or prediction.model


def _listed(names: Sequence[str], write: Callable[[str], str]) -> str:
    shown = [write(shorten(name, 60)) for name in names[:MOST_MISSING]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _minute(us: int) -> str:
    return f"{iso(us)[:16].replace('T', ' ')} UTC"


def percent(probability: float) -> str:
    """Write a probability as people read it."""
    return "under 0.1 %" if probability < 0.001 else f"{100 * probability:.1f} %"


def largest(factors: Iterable[Factor], probability: float) -> list[tuple[Factor, float]]:
    """The factors that moved the result most, with their size in percentage points; past the third only those that can be seen."""
    ranked = sorted(factors, key=lambda factor: -abs(factor.log_odds))[:MOST_FACTORS]
    sized = [(factor, percentage_points(probability, factor.log_odds)) for factor in ranked if factor.log_odds]
    return [pair for index, pair in enumerate(sized) if index < LEAST_FACTORS or abs(pair[1]) >= _SMALL_POINTS]


def _for_machines(prediction: Prediction, probability: float, factors: Sequence[tuple[Factor, float]]) -> dict[str, Any]:
    listed = [
        {"feature": shorten(factor.feature, 80) or "unnamed", "label": shorten(factor.label, 80) or "unnamed", "logOdds": factor.log_odds, "percentagePoints": round(points, 4)}
        for factor, points in factors
    ]
    made: dict[str, Any] = {"model": prediction.model, "probability": probability, "calculated": iso(prediction.made)}
    if plain(prediction.model_version):
        made["modelVersion"] = shorten(prediction.model_version, 80)
    if prediction.baseline is not None:
        made["baseline"] = prediction.baseline
    return {**made, "factors": listed} if listed else made
