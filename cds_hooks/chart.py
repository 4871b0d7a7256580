"""Stored predictions through the door, under the token that the EHR handed over.

Spec: https://cds-hooks.hl7.org/2.0/#passing-the-access-token-to-the-cds-service
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import msgspec

from cds_hooks.discovery import RISK, risk_query
from cds_hooks.request import HookRequest
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.errors import Forbidden, PreconditionFailed, Unauthenticated
from fhir_server.http.calls import NOBODY, Authenticate
from fhir_server.repository import Repository

TYPE: Final = "RiskAssessment"
_decoder: Final = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


@dataclass(frozen=True, slots=True)
class Chart:
    """This server's own store; no other FHIR server is ever called, whatever fhirServer says."""

    repository: Repository
    authenticate: Authenticate
    fhir_base: str

    def predictions(self, request: HookRequest, request_id: str) -> list[dict[str, Any]]:
        """Read the newest RiskAssessments of the patient in context, as far as the token lets.

        Raises:
            PreconditionFailed: The call gave no way to read them; the answer to that is 412, says the standard.
            Unavailable: The store cannot answer now.
        """
        subject = self._subject(request, request_id)
        try:
            page = self.repository.search(Scope(subject, "search", request_id), TYPE, risk_query(request.patient))
        except Forbidden:
            raise _unreachable("The access token does not let RiskAssessment be searched.", "fhirAuthorization.scope") from None
        return [_decoder.decode(stored.body) for stored in page.entries if not stored.redacted]

    def knows(self, request: HookRequest) -> bool:
        """Whether the call carries a good token of this server."""
        if request.authorization is None or request.fhir_server != self.fhir_base:
            return False
        try:
            self.authenticate(request.authorization.access_token)
        except Unauthenticated:
            return False
        return True

    def _subject(self, request: HookRequest, request_id: str) -> Subject:
        if request.authorization is None:
            raise _unreachable("Without fhirAuthorization this prefetch key is needed.", f"prefetch.{RISK}")
        if request.fhir_server != self.fhir_base:
            raise _unreachable("This is not the FHIR server that the service reads; send the prefetch.", "fhirServer")
        try:
            return self.authenticate(request.authorization.access_token)
        except Unauthenticated as error:
            self.repository.refused(Scope(NOBODY, "search", request_id), TYPE, error)
            raise _unreachable("The access token is unknown, expired or revoked.", "fhirAuthorization.access_token") from None


def _unreachable(text: str, path: str) -> PreconditionFailed:
    return PreconditionFailed(text, expression=path)
