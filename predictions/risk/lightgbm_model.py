"""The trained LightGBM model behind the port: exact TreeSHAP contributions by `pred_contrib`, scaled by the recalibration slope.

One prediction takes about 0.1 ms on one thread, so it runs in the thread that asks; a process pool would cost more than it gives.
What is not recorded is NaN, which the trees know, and is shown as not recorded with what it contributes.
Spec: https://lightgbm.readthedocs.io/en/stable/Parameters.html#predict_contrib
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chartloop.kernel.errors import Invalid
from predictions.lightgbm_loader import load_lightgbm
from predictions.risk.eligibility import not_eligible, outside_of
from predictions.risk.features import AGE, CARDIOVASCULAR, FEATURES, MALE, NOT_RECORDED, Feature, Features
from predictions.risk.model import Contribution, Insufficient, Prediction
from predictions.risk.prevent import probability
from predictions.risk.prevent_model import shown
from predictions.risk.recalibration import Affine
from predictions.risk.train import version_of

AVERAGE = "the average of the people the model was trained on"


class LightgbmStroke:
    """A trained model."""

    def __init__(self, trees: str, facts: Mapping[str, Any]) -> None:
        """Take the text of the trees and the facts beside them.

        Raises:
            Invalid: They do not belong together, or name features that do not exist.
        """
        if facts["version"] != version_of(trees, facts):
            raise Invalid("model.json and model.txt do not belong together: their version is another.")
        unknown = sorted(set(facts["features"]) - set(FEATURES))
        if unknown:
            raise Invalid(f"The model uses features that this release does not know: {', '.join(unknown)}.")
        self.id: str = facts["id"]
        self.version: str = facts["version"]
        self.years = float(facts["years"])
        self.title = f"LightGBM, stroke, {self.years:g} years"
        self.labels_source: str = facts["labels_source"]
        self._names: tuple[str, ...] = tuple(facts["features"])
        self.uses = frozenset({*self._names, AGE, CARDIOVASCULAR})
        self._affine = Affine(**facts["recalibration"])
        self._booster = load_lightgbm().Booster(model_str=trees)
        if self._booster.num_feature() != len(self._names):
            raise Invalid("model.json names another number of features than the trees have.")

    def predict(self, features: Features) -> Prediction | Insufficient:
        """Predict; age and sex are needed, of everything else the trees know that it may be missing."""
        missing = (*not_eligible(features), *outside_of(features, AGE))
        if missing:
            return Insufficient(missing)
        row = np.array([[features.number(name) for name in self._names]])
        added = self._booster.predict(row, pred_contrib=True, num_threads=1)[0]
        intercept, slope = self._affine
        base = intercept + slope * float(added[-1])
        contributions = tuple(self._contribution(features, name, slope * float(value)) for name, value in zip(self._names, added, strict=False))
        risk = probability(intercept + slope * float(added.sum()))
        unknown = tuple(FEATURES[name].label for name in self._names if name not in features.values)
        return Prediction(risk, probability(base), AVERAGE, contributions, unknown)

    def _contribution(self, features: Features, name: str, log_odds: float) -> Contribution:
        feature = features.values.get(name)
        if feature is None:
            return Contribution(name, FEATURES[name].label, NOT_RECORDED, log_odds)
        if name == MALE:
            feature = Feature(feature.value, feature.date, feature.basis, said=features.sex)
            return Contribution(name, "Sex", shown(name, feature), log_odds, feature.date, feature.basis)
        return Contribution(name, FEATURES[name].label, shown(name, feature), log_odds, feature.date, feature.basis)
