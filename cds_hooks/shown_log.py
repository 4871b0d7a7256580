"""What is recorded when predictions are shown as cards: to whom, of whom, and which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cds_hooks.request import HookRequest
from cds_hooks.stored_prediction import Prediction
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.audit.record import AuditRecord
from chartloop.kernel.errors import Unauthenticated
from fhir_server.http.calls import Authenticate

SHOWN: Final = "prediction-shown"
_CLIENT: Final = Subject(id="cds-client", role="")
"""Who calls without a token of ours: what it says of its user is kept as said."""


@dataclass(frozen=True, slots=True)
class ShownLog:
    """The audit log, for cards.

    Attributes:
        audit: The audit log.
        authenticate: Finds whose a token is.
        fhir_base: Base URL of this server's own store: its patients are ours, those of others only look alike.
    """

    audit: Audit
    authenticate: Authenticate
    fhir_base: str

    def keep(self, call: HookRequest, predictions: Sequence[Prediction], request_id: str, patient: str = "") -> None:
        """Record what is about to be shown, and of whom, if that is known here; Unavailable when that cannot be written, and nothing is shown."""
        ours = call.fhir_server == self.fhir_base
        targets = tuple(f"RiskAssessment/{each.id}" if each.id else f"prediction/{each.model}" for each in predictions)
        patients = (f"Patient/{call.patient}",) if ours else (patient,) if patient else ()
        said = f"user={call.user}&patient={call.patient}&fhirServer={call.fhir_server}"[:500]
        self.audit.access(AuditRecord("R", SHOWN, "0", self._who(call, ours=ours), targets, patients, said, request_id))

    def _who(self, call: HookRequest, *, ours: bool) -> Subject:
        if not ours or call.authorization is None:
            return _CLIENT
        try:
            return self.authenticate(call.authorization.access_token)
        except Unauthenticated:
            return _CLIENT
