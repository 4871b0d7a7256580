"""A small FHIR server for the review app's own tests: in memory, versions and If-Match, bearer tokens."""

import json
import threading
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, request


class FhirDouble:
    """Resources by reference; writes are versioned like on a real server."""

    def __init__(self, authenticate: Callable[[str], bool]) -> None:
        self._authenticate = authenticate
        self._lock = threading.Lock()
        self.resources: dict[str, dict[str, Any]] = {}
        self.writes: list[tuple[str, str | None]] = []

    def put(self, resource: dict[str, Any]) -> None:
        """Store a resource as its next version."""
        with self._lock:
            reference = f"{resource['resourceType']}/{resource['id']}"
            before = int(self.resources.get(reference, {}).get("meta", {}).get("versionId", 0))
            stored = json.loads(json.dumps(resource))
            stored["meta"] = {**stored.get("meta", {}), "versionId": str(before + 1)}
            self.resources[reference] = stored

    def blueprint(self) -> Blueprint:
        """Give /fhir."""
        routes = Blueprint("fhir", __name__, url_prefix="/fhir")

        @routes.before_request
        def who() -> Response | None:
            if request.endpoint and request.path.startswith("/fhir/.well-known"):
                return None
            scheme, _, token = request.headers.get("Authorization", "").partition(" ")
            return None if scheme == "Bearer" and self._authenticate(token) else self._outcome(401, "No token.")

        @routes.get("/<kind>/<id_>")
        def read(kind: str, id_: str) -> Response:
            found = self.resources.get(f"{kind}/{id_}")
            return self._outcome(404, "Not found.") if found is None else self._json(found)

        @routes.put("/<kind>/<id_>")
        def update(kind: str, id_: str) -> Response:
            stored = self.resources[f"{kind}/{id_}"]
            self.writes.append((f"{kind}/{id_}", request.headers.get("If-Match")))
            if request.headers.get("If-Match") != f'W/"{stored["meta"]["versionId"]}"':
                return self._outcome(412, "Somebody else changed it.")
            self.put(request.get_json(force=True))
            return self._json(self.resources[f"{kind}/{id_}"])

        @routes.get("/<kind>")
        def search(kind: str) -> Response:
            statuses = request.args.get("status", "").split(",")
            found = [
                r
                for r in self.resources.values()
                if r["resourceType"] == kind and (statuses == [""] or r.get("status") in statuses)
            ]
            entries = [{"resource": r, "search": {"mode": "match"}} for r in found]
            return self._json({"resourceType": "Bundle", "type": "searchset", "total": len(found), "entry": entries})

        return routes

    @staticmethod
    def _json(body: dict[str, Any], status: int = 200) -> Response:
        return Response(json.dumps(body), status, content_type="application/fhir+json")

    def _outcome(self, status: int, text: str) -> Response:
        issue = {"severity": "error", "code": "processing", "diagnostics": text}
        return self._json({"resourceType": "OperationOutcome", "issue": [issue]}, status)
