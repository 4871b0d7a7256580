"""The payer directory: Organization of type payer, its Endpoint, and the address that may be called."""

import threading
from typing import NamedTuple

from chartloop.kernel import clock
from claims.chart import Chart
from claims.mapping.element import any_code, reference
from claims.mapping.systems import CONNECTION, PAYER_ID

_KNOWN_FOR_S = 15.0
_CONNECTIONS = frozenset({"x12-http", "hl7-fhir-rest"})


class Payer(NamedTuple):
    """A payer and where it is reached; no address where none is configured."""

    id: str
    organization: str
    address: str


class Directory:
    """Looks payers up, and remembers them for some seconds."""

    def __init__(self, chart: Chart) -> None:
        """Take the store."""
        self._chart = chart
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, Payer]] = {}

    def payer(self, payer_id: str) -> Payer:
        """Return a payer by its id."""
        now = clock.monotonic_s()
        with self._lock:
            known = self._known.get(payer_id)
        if known is not None and now - known[0] < _KNOWN_FOR_S and known[1].address:
            return known[1]
        found = self._look_up(payer_id)
        with self._lock:
            self._known[payer_id] = (now, found)
        return found

    def _look_up(self, payer_id: str) -> Payer:
        organization = self._chart.first("Organization", identifier=f"{PAYER_ID}|{payer_id}")
        if organization is None:
            return Payer(payer_id, "", "")
        for link in organization.resource.get("endpoint") or []:
            endpoint = self._chart.get(reference(link))
            if endpoint is None or endpoint.resource.get("status") != "active":
                continue
            kind = endpoint.resource.get("connectionType") or {}
            if kind.get("code") in _CONNECTIONS or any_code({"coding": [kind]}) in _CONNECTIONS or kind.get("system") == CONNECTION:
                return Payer(payer_id, organization.reference, str(endpoint.resource.get("address") or ""))
        return Payer(payer_id, organization.reference, "")
