"""Where telemetry enters: raw bytes first, then all of a payload's readings or none, then their Observations."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from chartloop.kernel import clock
from chartloop.kernel.errors import Issue, Unprocessable
from ingest.telemetry import due, payloads
from ingest.telemetry.keeping import Keeper
from ingest.telemetry.merging import Counts
from ingest.telemetry.normalising import PAUSE_S, Normalised, normalise
from ingest.telemetry.payloads import REFUSED, STORED, Arrival, Payload
from ingest.telemetry.raw import RawStore
from ingest.telemetry.spool import Spool
from ingest.vendors.measure import Context

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from chartloop.kernel.db_session import Database
    from chartloop.kernel.settings_sections import TelemetrySettings
    from ingest.telemetry.publishing import Publisher

_log = logging.getLogger(__name__)
_JSON_VENDORS: Final = frozenset({"dexcom", "open-mhealth"})


class Request(NamedTuple):
    """What a request says beside its body: whose readings, from which vendor, the subject's zone, who sends."""

    subject: str
    vendor: str
    zone: ZoneInfo | None
    who: str


class TelemetryIntake:
    """Takes payloads; any number of threads may call it."""

    def __init__(self, database: Database, publisher: Publisher, data: Path, settings: TelemetrySettings) -> None:
        """Keep readings in `database` and raw payloads under `data`; publish through `publisher`."""
        self._database = database
        self._publisher = publisher
        self._raw = RawStore(data / "telemetry" / "raw", database.columns)
        self._spool = data / "telemetry" / "spool"
        self._settings = settings

    def receive(self, environ: Mapping[str, Any], request: Request) -> tuple[dict[str, Any], bool]:
        """Take one payload; give the answer, and whether anything is new.

        Raises:
            TooLarge: The body is larger than may be.
            Unprocessable: Something in it cannot be read; the issues name the elements, and only the raw bytes are kept.
        """
        settings = self._settings
        kept = self._raw.keep(environ, settings.json_max_bytes if request.vendor in _JSON_VENDORS else settings.max_bytes)
        zone = request.zone.key if request.zone else ""
        arrival = Arrival(request.subject, request.vendor, kept.sha256, kept.size, request.who, zone)
        self._database.write(lambda tx: payloads.register(tx, arrival, clock.now_us()))
        with self._database.read() as session:
            payload = payloads.find(session, arrival)
        if payload.state == STORED:
            return self._answer(arrival, payload, Counts(duplicates=payload.readings), 0), False
        payload, counts = self._store(arrival, payload, request.zone)
        observations = self._publisher.publish(request.subject, limit=settings.observations_per_request)
        _log.info("A telemetry payload was stored.", extra={"action": "telemetry.stored", "vendor": request.vendor, "readings": payload.readings})
        return self._answer(arrival, payload, counts, observations), bool(counts.new or counts.corrected)

    def _store(self, arrival: Arrival, payload: Payload, zone: ZoneInfo | None) -> tuple[Payload, Counts]:
        with Spool(self._spool) as spool:
            with self._raw.open(arrival.sha256) as stream:
                found = normalise(arrival.vendor, stream, Context(zone, payload.received), spool)
            settled = payload._replace(state=REFUSED if found.problems else STORED, readings=found.readings, flagged=found.flagged, unknown=found.unknown)
            if found.problems:
                self._database.write(lambda tx: payloads.settle(tx, settled._replace(readings=0, flagged=0), arrival.zone))
                raise _refusal(arrival, found)
            counts = self._keep(arrival.subject, spool)
        self._database.write(lambda tx: payloads.settle(tx, settled, arrival.zone))
        return settled, counts

    def _keep(self, subject: str, spool: Spool) -> Counts:
        keeper, counts = Keeper(self._database, subject, round(self._settings.close_after_s * 1e6)), Counts()
        for groups in spool.groups():
            counts = counts.plus(keeper.keep(groups))
            time.sleep(PAUSE_S)
        return counts

    def _answer(self, arrival: Arrival, payload: Payload, counts: Counts, observations: int) -> dict[str, Any]:
        with self._database.read() as session:
            pending = due.waiting(session, arrival.subject)
        return {
            "payload": arrival.sha256,
            "vendor": arrival.vendor,
            "subject": arrival.subject,
            "readings": payload.readings,
            **counts._asdict(),
            "flagged": payload.flagged,
            "unknown": payload.unknown,
            "observations": observations,
            "pending": pending,
        }


def _refusal(arrival: Arrival, found: Normalised) -> Unprocessable:
    issues = [Issue("error", problem.code, problem.text, problem.path) for problem in found.problems]
    kept = Issue("information", "informational", f"The payload is kept as sha256 {arrival.sha256}; nothing else of it is stored.")
    return Unprocessable(issues=[*issues, kept])
