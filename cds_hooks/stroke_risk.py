"""The service `stroke-risk`: a call comes in, cards of stored predictions go out; nothing is computed and nobody is waited for.

Spec: https://cds-hooks.hl7.org/2.0/#cds-service-response
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cds_hooks import request as requests
from cds_hooks.chart import Chart
from cds_hooks.discovery import HOOK
from cds_hooks.prefetch import Assessment, read_prefetch
from cds_hooks.request import HookRequest
from cds_hooks.risk_card import Surroundings, risk_cards
from cds_hooks.shown_log import ShownLog
from cds_hooks.stored_prediction import Prediction, read_prediction
from chartloop.kernel import clock
from chartloop.kernel.errors import Invalid, Issue, PreconditionFailed

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StrokeRisk:
    """The service, on what it stands on."""

    chart: Chart
    around: Surroundings
    shown: ShownLog

    def holds_our_token(self, body: bytes) -> bool:
        """Whether a call hands over a token that this server gave out and that is still good.

        Raises:
            Invalid: The call cannot be read.
        """
        return self.chart.knows(requests.decode(body, HOOK))

    def answer(self, body: bytes, request_id: str) -> list[dict[str, Any]]:
        """Answer one call with cards.

        Raises:
            Invalid: The call or its prefetch cannot be read, or belongs to another patient.
            PreconditionFailed: There is neither a prefetch to answer from nor a right to read the store.
            Unavailable: The store cannot answer now.
        """
        call = requests.decode(body, HOOK)
        came = read_prefetch(call)
        brought = _predictions_of_strangers(came.assessments)
        if came.deceased:
            return []
        if came.whole:
            return self._cards(call, brought, request_id)
        try:
            stored = self.chart.predictions(call, request_id)
        except PreconditionFailed:
            if not brought:
                raise
            return self._cards(call, brought, request_id)  # the first page is here, and what is on it stands
        return self._cards(call, _our_predictions(stored.resources), request_id, stored.patient)

    def _cards(self, call: HookRequest, predictions: Sequence[Prediction], request_id: str, patient: str = "") -> list[dict[str, Any]]:
        made = risk_cards(predictions, self.around, clock.now_us())
        if made:
            self.shown.keep(call, predictions, request_id, patient)
        return made


def _predictions_of_strangers(assessments: Iterable[Assessment]) -> list[Prediction]:
    found: list[Prediction] = []
    issues: list[Issue] = []
    for path, resource in assessments:
        prediction, wrong = read_prediction(resource, path)
        issues += wrong
        found += [prediction] if prediction else []
    if issues:
        raise Invalid(issues=issues)
    return found


def _our_predictions(resources: Iterable[dict[str, Any]]) -> list[Prediction]:
    """What lies in the store and cannot be read is no fault of the caller: it is logged by its place and left out."""
    found = []
    for resource in resources:
        prediction, wrong = read_prediction(resource)
        if wrong:
            _log.warning("A stored prediction cannot be read.", extra={"action": "cds.unreadable", "place": wrong[0].expression})
        found += [prediction] if prediction else []
    return found
