"""The EHR's FHIR API as an app uses it: read, search, history, and an update that loses nobody's work.

Spec: https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests
from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import (
    AuthorizationError,
    BaseFHIRError,
    ForbiddenError,
    MultipleResourcesFound,
    ResourceNotFound,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from smart_apps.client.sessions import AppSession

TIMEOUT_S = 15.0


class EhrError(Exception):
    """The EHR could not do this."""


class SessionEndedError(EhrError):
    """Your session has ended. Launch the app from the EHR again."""


class NotAllowedError(EhrError):
    """You may not do this."""


class ChangedError(EhrError):
    """Somebody else changed this resource."""


class FhirClient:
    """The FHIR API of the EHR, with the token of one session."""

    def __init__(self, session: AppSession) -> None:
        self._session = session

    def _client(self, headers: Mapping[str, str] | None = None) -> SyncFHIRClient:
        return SyncFHIRClient(
            self._session.issuer,
            authorization=f"Bearer {self._session.access_token}",
            extra_headers=dict(headers or {}),
            requests_config={"timeout": TIMEOUT_S, "allow_redirects": False},
        )

    def read(self, reference: str) -> dict[str, Any] | None:
        """Read a resource; None when there is nothing that this person may see."""
        try:
            return dict(_answered(lambda: self._client().execute(reference, "get")))
        except ResourceNotFound:
            return None

    def search(self, resource_type: str, **params: str) -> list[dict[str, Any]]:
        """Search, and give the matches of the first page."""
        bundle = _answered(lambda: self._client().execute(resource_type, "get", params=params))
        return [dict(entry["resource"]) for entry in bundle.get("entry", ()) if entry.get("search", {}).get("mode", "match") == "match"]

    def history(self, reference: str, count: int) -> list[dict[str, Any]]:
        """Give the newest versions of a resource, newest first; deletions leave none."""
        bundle = _answered(lambda: self._client().execute(f"{reference}/_history", "get", params={"_count": str(count)}))
        return [dict(entry["resource"]) for entry in bundle.get("entry", ()) if "resource" in entry]

    def update(self, resource: Mapping[str, Any]) -> dict[str, Any]:
        """Write a resource back, unless it is not what was read any more.

        Raises:
            ChangedError: Somebody else wrote it meanwhile; nothing was changed.
        """
        version = resource["meta"]["versionId"]
        client = self._client({"If-Match": f'W/"{version}"', "Prefer": "return=representation"})
        path = f"{resource['resourceType']}/{resource['id']}"
        try:
            written = _answered(lambda: client.execute(path, "put", data=dict(resource)))
        except (MultipleResourcesFound, ResourceNotFound) as error:  # fhirpy's name for any 412
            raise ChangedError(ChangedError.__doc__) from error
        return dict(written) if written else self.read(path) or {}


def _answered(call: Callable[[], Any]) -> Any:
    """Do one call, and give its failure in words for a person."""
    try:
        return call()
    except AuthorizationError as error:
        raise SessionEndedError(SessionEndedError.__doc__) from error
    except ForbiddenError as error:
        raise NotAllowedError(NotAllowedError.__doc__) from error
    except (ResourceNotFound, MultipleResourcesFound):
        raise
    except BaseFHIRError as error:
        message = f"The EHR refused: {_diagnostics(error)}"
        raise EhrError(message) from error
    except (requests.RequestException, ValueError) as error:
        message = "The EHR did not answer. Nothing was lost; try again."
        raise EhrError(message) from error


def _diagnostics(error: BaseFHIRError) -> str:
    issues = getattr(error, "resource", {}).get("issue", ())
    texts = [i.get("diagnostics") or i.get("details", {}).get("text") or i.get("code", "") for i in issues]
    return "; ".join(text for text in texts if text)[:500] or "no reason was given."
