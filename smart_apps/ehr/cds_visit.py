"""What CDS services say when a chart is opened: each is asked at once, under a token of its own, and none is waited for longer than the rest.

Spec: https://cds-hooks.hl7.org/hooks/patient-view/STU1/patient-view/
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from chartloop.kernel import auth
from chartloop.kernel.clock import iso, monotonic_s, now_us
from smart_apps.ehr import cds_prefetch
from smart_apps.ehr.cds_cards import Reading, Reason, answer_to_cards
from smart_apps.ehr.cds_client import HOOK, CdsClient, CdsError, Exchange, Service, parsed
from smart_apps.ehr.deadline import TooLateError, side_by_side

if TYPE_CHECKING:
    from chartloop.kernel.access.subject import Subject
    from chartloop.kernel.db import Database
    from smart_apps.ehr.chart import Chart
    from smart_apps.sessions import EhrSession

TOKEN_TTL_S = 120
MARGIN_S = 0.05  # what is left to tell one slow service from others that answered


@dataclass(slots=True)
class Consultation:
    """What came of asking one service.

    Attributes:
        title: How the page calls it.
        base: Where it was discovered.
        service: None when not even discovery worked.
        exchange: The call as it went over the wire; None when none was made.
        trouble: One sentence; empty when all went well.
    """

    title: str
    base: str
    service: Service | None = None
    exchange: Exchange | None = None
    reading: Reading = field(default_factory=Reading)
    trouble: str = ""


class CdsVisit:
    """The opening of one chart by one person."""

    def __init__(self, client: CdsClient, database: Database, open_chart: Callable[[Subject], Chart], *, fhir_base: str, launch_urls: dict[str, str]) -> None:
        """Take what calls are made with.

        Args:
            client: HTTP to the services.
            database: Where tokens are issued.
            open_chart: Opens the chart as somebody.
            fhir_base: What services are told as fhirServer.
            launch_urls: Client id by launch URL, of the registered apps.
        """
        self._client = client
        self._database = database
        self._open_chart = open_chart
        self._fhir_base = fhir_base
        self._launch_urls = launch_urls

    def cards(self, session: EhrSession, patient: str) -> list[Consultation]:
        """Ask every service; returns within the deadline of the client, whatever they do."""
        asked = [Consultation(base, base) for base in self._client.bases]
        end = monotonic_s() + self._client.deadline_s - MARGIN_S
        answers = side_by_side([partial(self._base, each, session, patient, end) for each in asked], self._client.deadline_s)
        found: list[Consultation] = []
        for consultation, answer in zip(asked, answers, strict=True):
            found += answer if isinstance(answer, list) else [replace(consultation, trouble=self._trouble(answer))]
        return found

    def _trouble(self, error: Exception) -> str:
        if isinstance(error, TooLateError):
            return f"It did not answer within {self._client.deadline_s:g} s."
        return str(error) if isinstance(error, CdsError) else "It could not be asked."

    def _base(self, consultation: Consultation, session: EhrSession, patient: str, end: float) -> list[Consultation]:
        services = self._client.services(consultation.base)
        found = [replace(consultation, title=service.title, service=service) for service in services]
        works = [partial(self._ask, each, session, patient) for each in found]
        for each, answer in zip(found, side_by_side(works, end - monotonic_s()), strict=True):
            if isinstance(answer, Exception):
                each.trouble = self._trouble(answer)
        return found

    def _ask(self, consultation: Consultation, session: EhrSession, patient: str) -> None:
        service = consultation.service
        if service is None:
            return
        subject = service_subject(session, service, patient)
        token = self._database.write(lambda tx: auth.issue(tx, subject, TOKEN_TTL_S)) if subject.scopes else ""
        values = cds_prefetch.tokens(session.subject.user, patient)
        body = {
            "hook": HOOK,
            "hookInstance": str(uuid.uuid4()),
            **({"fhirServer": self._fhir_base, "fhirAuthorization": authorization(token, subject, service)} if token else {}),
            "context": {"userId": session.subject.user, "patientId": patient},
            "prefetch": cds_prefetch.resolve(self._open_chart(subject), service.templates, values),
        }
        exchange = Exchange(service.url, json.dumps(body, ensure_ascii=False).encode(), secret=token)
        consultation.exchange = exchange
        self._client.call(exchange)
        consultation.reading = answer_to_cards(parsed(exchange), self._launch_urls)


def service_subject(session: EhrSession, service: Service, patient: str) -> Subject:
    """Give the subject of a service's token: the person of the session, one patient, the types that it declared."""
    scopes = tuple(f"patient/{type_}.rs" for type_ in cds_prefetch.types(service.templates))
    return replace(session.subject, scopes=scopes, patient=f"Patient/{patient}", session=session.id, client=f"cds:{service.id}")


def authorization(token: str, subject: Subject, service: Service) -> dict[str, Any]:
    """Give the member fhirAuthorization.

    Spec: https://cds-hooks.hl7.org/2.0/#passing-the-access-token-to-the-cds-service
    """
    return {
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": TOKEN_TTL_S,
        "scope": " ".join(subject.scopes),
        "subject": service.id,
        "patient": subject.patient.removeprefix("Patient/"),
    }


def override(card: str, reason: Reason) -> bytes:
    """Give the body of the feedback that a card was set aside.

    Spec: https://cds-hooks.hl7.org/2.0/#feedback
    """
    coding = {"code": reason.code, "system": reason.system, "display": reason.display}
    said = {name: value for name, value in coding.items() if value}
    feedback = {"card": card, "outcome": "overridden", "overrideReason": {"reason": said}, "outcomeTimestamp": iso(now_us())}
    return json.dumps({"feedback": [feedback]}, ensure_ascii=False).encode()
