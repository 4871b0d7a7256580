"""What a Consent says from a day on, or until a day, is told on that day: its begin and its end change nothing that is stored, and who keeps copies must hear."""

from __future__ import annotations

from typing import Final

from chartloop.kernel import clock
from chartloop.kernel.access.grants import SAID_BY_PATIENTS
from chartloop.kernel.outbox import Told
from fhir_server.granting.deriving import CONSENT_CHANGED
from fhir_server.store import Store

LOOKED_BACK_S: Final = 3 * 86_400
"""Said again for a few days: a house that was closed for a weekend misses nothing, and to hear it twice does no harm."""

_KINDS: Final = ", ".join(map(str, sorted(SAID_BY_PATIENTS)))
_PASSED: Final = (
    f"SELECT DISTINCT patient FROM access_grant WHERE kind IN ({_KINDS}) AND patient <> ''"
    " AND ((starts > ? AND starts <= ?) OR (ends > ? AND ends <= ?)) ORDER BY patient"
)


def tell_in_time(store: Store, *, looked_back_s: int = LOOKED_BACK_S) -> int:
    """Tell of every patient one of whose consents began or ended lately; returns how many patients."""
    now = clock.now_us()
    since = now - looked_back_s * 1_000_000
    with store.db.read() as session:
        patients = [str(patient) for (patient,) in session.all(_PASSED, (since, now, since, now))]
    if patients:
        store.db.write(lambda tx: store.outbox.publish_all(tx, [Told(CONSENT_CHANGED, patient, patient) for patient in patients]))
    return len(patients)
