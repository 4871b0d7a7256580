"""The risk models whose stored predictions become cards, and from which probability on a card is a warning."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

BASE: Final = "https://chartloop.example/fhir"
RISK_MODEL: Final = f"{BASE}/CodeSystem/risk-model"


class RiskModel(NamedTuple):
    """What the service decides by model.

    Attributes:
        warning_at: Probability from which the card is a warning; below it is info. A model alone is never critical.
        needs_validation: Whether a card needs a local validation record: yes for what was learned from data, no for a published equation.
    """

    warning_at: float
    needs_validation: bool


# 7.5 % in 10 years is where the PREVENT authors begin to call cardiovascular risk intermediate; for stroke alone no limit is
# published. The table is absolute on purpose: a young person with twice a very small risk gets no warning.
RISK_MODELS: Final[Mapping[str, RiskModel]] = MappingProxyType(
    {
        "prevent-stroke-10y": RiskModel(warning_at=0.075, needs_validation=False),
        "lightgbm-stroke": RiskModel(warning_at=0.075, needs_validation=True),
    }
)
