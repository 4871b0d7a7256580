"""$reindex: index rows are made anew from what is stored, by a job in the background; and how far the jobs are.

Ours: R4 has no such operation. Who may is said by the right `reindex`, which defining search parameters needs too.
Spec: https://hl7.org/fhir/R4/operations.html
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from chartloop.kernel import clock
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Tx
from fhir_server.auditing import record, refusals_audited
from fhir_server.reindexing.jobs import REBUILD, Job, enqueue, latest, try_again, waiting
from fhir_server.store import Store, acting, require


def reindex(store: Store, scope: Scope, type_: str = "") -> tuple[Job, ...]:
    """Start a job that makes every index row of a type, or of all, anew, and try again what has failed; return the jobs as they are.

    A job that does the same and has not begun is enough.
    """
    scope, place = acting(scope, "reindex"), _place(type_)
    with refusals_audited(store, scope, place):
        require(store, scope, type_ or "SearchParameter")
        types = [type_] if type_ else []

        def work(tx: Tx) -> None:
            try_again(tx)
            if waiting(tx, REBUILD, types) is None:
                enqueue(tx, REBUILD, types, (), clock.now_us())
            store.audit.change(tx, record(scope, [place], ()))

        store.db.write(work)
    return _jobs(store, type_)


def reindexing(store: Store, scope: Scope, type_: str = "") -> tuple[Job, ...]:
    """Return the latest jobs, of all or of those about one type, newest first."""
    scope, place = acting(scope, "reindex"), _place(type_)
    with refusals_audited(store, scope, place):
        require(store, scope, type_ or "SearchParameter")
        found = _jobs(store, type_)
    store.audit.access(record(scope, [place], ()))
    return found


def jobs_as_parameters(jobs: Iterable[Job]) -> bytes:
    """Render jobs as a Parameters resource: what each does, what is done and what remains."""
    return msgspec.json.encode({"resourceType": "Parameters", "parameter": [{"name": "job", "part": _parts(job)} for job in jobs]})


def _parts(job: Job) -> list[dict[str, Any]]:
    times = {"requested": job.requested, "started": job.started, "finished": job.finished}
    return [
        {"name": "id", "valueId": job.id},
        {"name": "kind", "valueCode": job.kind},
        {"name": "state", "valueCode": job.state},
        *({"name": "type", "valueCode": each} for each in job.types),
        *([{"name": "phase", "valueString": job.phase}] if job.phase else []),
        {"name": "done", "valueDecimal": job.done},
        {"name": "remaining", "valueDecimal": max(0, job.total - job.done)},
        {"name": "corrected", "valueDecimal": job.changed},
        *({"name": name, "valueInstant": clock.iso(time)} for name, time in times.items() if time),
        *([{"name": "error", "valueString": job.error}] if job.error else []),
    ]


def _jobs(store: Store, type_: str) -> tuple[Job, ...]:
    with store.db.read() as session:
        return tuple(job for job in latest(session) if not type_ or not job.types or type_ in job.types)


def _place(type_: str) -> str:
    return f"{type_}/$reindex" if type_ else "$reindex"
