"""The EHR as the review app uses it: a FHIR client, and the search of codes where the EHR has one."""

from __future__ import annotations

import httpx

from smart_apps.client.fhir import TIMEOUT_S, EhrError, FhirClient


class Ehr(FhirClient):
    """The EHR of one session."""

    def find_codes(self, text: str) -> list[tuple[str, str]] | None:
        """Look codes up by number or words; None when this EHR offers no such search."""
        if not self._session.code_search:
            return None
        headers = {"Authorization": f"Bearer {self._session.access_token}"}
        try:
            answer = httpx.get(self._session.code_search, params={"q": text}, headers=headers, timeout=TIMEOUT_S)
            answer.raise_for_status()
            return [(found["code"], found["display"]) for found in answer.json()["codes"]]
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            message = "The code search did not answer."
            raise EhrError(message) from error
