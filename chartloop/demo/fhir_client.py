"""A plain FHIR client over HTTP, with the token of one user."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

Resource = dict[str, Any]
FHIR_JSON = "application/fhir+json"


class FhirFailed(Exception):
    """The server refused; the message names the request, the status and the first issue."""


@dataclass(slots=True)
class FhirClient:
    """One user's view of the server.

    Args:
        base: FHIR base URL, without a slash at its end.
        token: Bearer token, or "" for none.
    """

    base: str
    token: str
    timeout_s: float = 300.0

    def request(self, method: str, path: str, *, body: bytes | Resource | None = None, headers: dict[str, str] | None = None) -> httpx.Response:
        """Send one request; `path` is relative to the base, or an absolute link of the server."""
        url = path if path.startswith(("http://", "https://")) else f"{self.base}/{path}" if path else self.base
        sent = {"Accept": FHIR_JSON, **(headers or {})}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        if content is not None:
            sent["Content-Type"] = FHIR_JSON
        return httpx.request(method, url, content=content, headers=sent, timeout=self.timeout_s, trust_env=False)

    def get(self, path: str) -> Resource:
        """Read or search.

        Raises:
            FhirFailed: Any status but 200.
        """
        return _accepted(self.request("GET", path), 200)

    def put(self, resource: Resource, *, if_match: str = "") -> Resource:
        headers = {"If-Match": if_match} if if_match else {}
        path = f"{resource['resourceType']}/{resource['id']}"
        return _accepted(self.request("PUT", path, body=resource, headers=headers), 200)

    def transaction(self, bundle: bytes | Resource) -> Resource:
        return _accepted(self.request("POST", "", body=bundle), 200)

    def each(self, query: str) -> Iterator[Resource]:
        """Every match of a search, page after page; included resources are left out."""
        link: str | None = query
        while link:
            page = self.get(link)
            for entry in page.get("entry", ()):
                if entry.get("search", {}).get("mode", "match") == "match":
                    yield entry["resource"]
            link = next((item["url"] for item in page.get("link", ()) if item["relation"] == "next"), None)

    def total(self, query: str) -> int:
        return int(self.get(f"{query}{'&' if '?' in query else '?'}_summary=count")["total"])


def _accepted(response: httpx.Response, status: int) -> Resource:
    if response.status_code != status:
        request = response.request
        raise FhirFailed(f"{request.method} {request.url.path} answered {response.status_code}: {_first_issue(response)}")
    answer: Resource = response.json()
    return answer


def _first_issue(response: httpx.Response) -> str:
    try:
        issue = response.json()["issue"][0]
    except (ValueError, KeyError, IndexError, TypeError):
        return "no OperationOutcome"
    return str(issue.get("diagnostics") or issue.get("details", {}).get("text") or issue.get("code"))
