"""Stored predictions through the door, under the token that the EHR handed over.

Spec: https://cds-hooks.hl7.org/2.0/#passing-the-access-token-to-the-cds-service
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from cds_hooks.discovery import RISK, risk_query
from cds_hooks.ehrs import Ehrs
from cds_hooks.request import HookRequest
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.errors import Forbidden, PreconditionFailed, Unauthenticated
from fhir_server.http.calls import NOBODY, Authenticate
from fhir_server.repository import Repository

TYPE: Final = "RiskAssessment"
_decoder: Final = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


class Found(NamedTuple):
    """RiskAssessments of the store, and whose they are: a reference of ours, or ""."""

    resources: list[dict[str, Any]]
    patient: str


@dataclass(frozen=True, slots=True)
class Chart:
    """This server's own store; no FHIR server that is not configured is ever called, whatever fhirServer says.

    Attributes:
        repository: The door.
        authenticate: Finds whose a token is.
        fhir_base: Base URL of the store.
        ehrs: EHRs whose patients are known here too; None is none.
    """

    repository: Repository
    authenticate: Authenticate
    fhir_base: str
    ehrs: Ehrs | None = None

    def predictions(self, request: HookRequest, request_id: str) -> Found:
        """Read the newest RiskAssessments of the patient in context, as far as the token lets; none where another EHR's patient is nobody here for sure.

        Raises:
            PreconditionFailed: The call gave no way to read them; the answer to that is 412, says the standard.
            Unavailable: The store cannot answer now.
        """
        ehrs, patient = self.ehrs, request.patient
        if ehrs and request.authorization and request.fhir_server != self.fhir_base and ehrs.knows(request.fhir_server):
            patient = ehrs.find(request, request.authorization.access_token, request_id)
            if not patient:
                return Found([], "")
            subject = ehrs.reader(patient, request.fhir_server)
        else:
            subject = self._subject(request, request_id)
        try:
            page = self.repository.search(Scope(subject, "search", request_id), TYPE, risk_query(patient))
        except Forbidden:
            raise _unreachable("The access token does not let RiskAssessment be searched.", "fhirAuthorization.scope") from None
        return Found([_decoder.decode(stored.body) for stored in page.entries if not stored.redacted], f"Patient/{patient}")

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
