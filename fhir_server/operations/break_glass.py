"""$break-glass and $mend-glass: in an emergency a person opens the chart of one patient for minutes, and closes it again.

Ours: R4 has no such operation. What it opens, to whom and until when: docs/howto/access.md.
"""

from __future__ import annotations

from chartloop.kernel.access import break_glass as glass
from chartloop.kernel.access.break_glass import TokenVisit
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Tx
from fhir_server.auditing import refusals_audited
from fhir_server.rows import current, living
from fhir_server.store import Store, acting, require

EVENT = "GlassBroken"
_TYPE = "Patient"


def break_glass(store: Store, scope: Scope, id_: str, code: str, reason: str) -> int:
    """Open a chart to the session of this request; return when it closes, in microseconds.

    Raises:
        Forbidden: The role has no such right, or the token belongs to no person or no session.
        Invalid: The code is not listed, or the reason is blank.
        NotFound: There is no such patient.
    """
    scope, patient = acting(scope, glass.ACTION), f"{_TYPE}/{id_}"
    visit = TokenVisit(scope.subject.session, scope.subject)
    with refusals_audited(store, scope, patient):
        require(store, scope, _TYPE)
        glass.require_glass(store.access, visit, patient, code, reason)
        living(current(store.db, _TYPE, id_, store.access.row_filter(acting(scope, "read"), _TYPE)))

    def work(tx: Tx) -> int:
        ends = glass.break_glass(
            tx, store.audit, visit, patient, code, reason, access=store.access, minutes=store.glass_minutes, request=scope.request
        )
        store.outbox.publish(tx, EVENT, patient, key=patient, trace=scope.request)
        return ends

    return store.db.write(work)


def mend_glass(store: Store, scope: Scope, id_: str) -> bool:
    """Close what the session of this request opened; False: it was closed already."""
    visit, patient = TokenVisit(scope.subject.session, scope.subject), f"{_TYPE}/{id_}"
    return store.db.write(lambda tx: glass.mend_glass(tx, store.audit, visit, patient, request=scope.request))
