"""Jobs of the asynchronous pattern: durable rows, each bound to who asked for it.

A result is kept as a row with the store's codec, sealed like a body, until it expires or is deleted; it is what its reader could see
when the job ran. A transaction is carried out exactly once: its row changes in the same commit.
A job ends with the token that asked for it: a revoked one begins nothing, commits nothing and is handed no result.
Spec: https://hl7.org/fhir/R4/async.html, http://hl7.org/fhir/async-bundle.html
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Final, NamedTuple

from chartloop.kernel import clock, ids
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.auth import subject_from_json
from chartloop.kernel.db import OneRow, Tx
from chartloop.kernel.errors import Conflict, NotFound, Throttled, Unauthenticated, Unavailable
from fhir_server.auditing import record, refusals_audited
from fhir_server.hashing import value_hash
from fhir_server.matching import lock
from fhir_server.search.cursor import reader_of
from fhir_server.store import Store, acting

WAITING: Final = 0
RUNNING: Final = 1
STORED: Final = 2
"""A transaction is committed, its answer is not kept yet."""
DONE: Final = 3

READ: Final = "read"
BATCH: Final = "batch"
TRANSACTION: Final = "transaction"
PLACE: Final = "_async"
"""Below the base: where a job is asked for."""
_HOUR_US: Final = 3_600_000_000
_LEASE_US: Final = 60_000_000
MOST_WAITING: Final = 1_000
"""Jobs of everybody that may wait; who comes after them is told to come again."""


class Request(NamedTuple):
    """What is to be carried out."""

    kind: str
    environ: Mapping[str, str]
    body: bytes
    token: str = ""
    """SHA-256 of the token that asked, in hexadecimal digits."""


class Job(NamedTuple):
    """A job that was taken: by whom it was asked for, and whether somebody had begun it before."""

    id: str
    subject: Subject
    request: Request
    number: str
    """Id of the request that asked for it, for the audit records."""
    state: int


class Result(NamedTuple):
    """Where a job stands; status and body when it is done."""

    state: int
    status: int
    body: bytes
    finished: int
    expires: int


Revoked = Callable[[OneRow, str], bool]
"""Whether a token, known by the SHA-256 that its job keeps, was revoked."""


def never(_session: OneRow, _token: str) -> bool:
    """No token is ever revoked: for who has no table of them."""
    return False


class AsyncJobs:
    """The table of jobs."""

    def __init__(self, store: Store, *, per_subject: int = 10, keep_h: float = 24.0, revoked: Revoked = never, most: int = MOST_WAITING) -> None:
        """Take the store, the most jobs of one subject, how long one is kept, who knows whether a token was revoked, and the most that wait in all."""
        self._store = store
        self._revoked = revoked
        self._per_subject, self._most = per_subject, most
        self._keep_us = round(keep_h * _HOUR_US)
        self.owner = ids.public_id()
        self.woken = threading.Event()

    def accept(self, scope: Scope, request: Request) -> str:
        """Keep a request for later; return the id of its job once it is durable.

        Raises:
            Throttled: This subject has too many jobs, results that are kept included.
            Unavailable: Too many jobs of everybody wait.
        """
        id_, reader, now = ids.public_id(), reader_of(self._store.secret, scope.subject), clock.now_us()
        packed = self._store.codec.pack(request.body, _place(id_))
        # Without its session: an answer that is kept must not hold what only broken glass showed.
        subject, said = json.dumps(asdict(replace(scope.subject, session="", emergency=()))), json.dumps(dict(request.environ))
        place = f"{PLACE}/{id_}"

        def insert(tx: Tx) -> None:
            lock(tx, [value_hash(reader)])
            found = tx.one("SELECT COUNT(*) FROM async_job WHERE reader = ? AND expires > ?", (reader, now))
            if found and found[0] >= self._per_subject:
                raise Throttled(f"There are {self._per_subject} jobs of yours; wait for one, or delete a result.")
            waiting = tx.one(f"SELECT COUNT(*) FROM async_job WHERE state < {DONE} AND expires > ?", (now,))
            if waiting and waiting[0] >= self._most:
                raise Unavailable("Too many requests wait to be carried out later; send this one again in a while.")
            tx.run(
                "INSERT INTO async_job (id, reader, subject, kind, request, number, state, status, codec, dict_id, body, owner, until, finished, "
                "created, expires, token) VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, '', 0, 0, ?, ?, ?)",
                (
                    id_, reader, subject, request.kind, tx.columns.keep_text(said, *_asked(id_)), scope.request, WAITING, *packed,
                    now, now + self._keep_us, request.token,
                ),
            )
            tx.after_commit(self.woken.set)

        with refusals_audited(self._store, scope, PLACE):
            self._store.db.write(insert)
        self._store.audit.access(record(acting(scope, "operation"), [place], ()))
        return id_

    def result(self, scope: Scope, id_: str) -> Result:
        """Say where a job stands, after the audit record is durable; NotFound for everybody but who asked for it."""
        with refusals_audited(self._store, scope, f"{PLACE}/{id_}"):
            with self._store.db.read() as session:
                found = session.one(
                    "SELECT state, status, codec, dict_id, body, finished, expires, token FROM async_job WHERE id = ? AND reader = ? AND expires > ?",
                    (id_, reader_of(self._store.secret, scope.subject), clock.now_us()),
                )
                ended = found is not None and self._revoked(session, found[7])
            if found is None or ended:
                raise NotFound
        self._store.audit.access(record(scope, [f"{PLACE}/{id_}"], ()))
        body = self._unpacked(found[2:5], id_) if found[0] == DONE else b""
        return Result(found[0], found[1], body, found[5], found[6])

    def cancel(self, scope: Scope, id_: str) -> None:
        """Delete a job and its result; a transaction that runs is rolled back, of a batch the rest of the entries may still be done."""
        reader = reader_of(self._store.secret, scope.subject)
        with refusals_audited(self._store, scope, f"{PLACE}/{id_}"):
            if not self._store.db.write(lambda tx: tx.run("DELETE FROM async_job WHERE id = ? AND reader = ?", (id_, reader))):
                raise NotFound
        self._store.audit.access(record(scope, [f"{PLACE}/{id_}"], ()))

    def take(self) -> Job | None:
        """Take the oldest job that waits, or whose worker was silent for too long; None where there is none."""
        now = clock.now_us()
        waiting = (
            "SELECT id, subject, kind, request, codec, dict_id, body, number, state FROM async_job "
            f"WHERE state < {DONE} AND until < ? AND expires > ? ORDER BY created, id LIMIT 1"
        )
        with self._store.db.read() as session:
            if session.one(waiting, (now, now)) is None:
                return None

        def claim(tx: Tx) -> Job | None:
            found = tx.one(waiting + (" FOR UPDATE SKIP LOCKED" if tx.dialect == "postgresql" else ""), (now, now))
            if found is None:
                return None
            state = max(found[8], RUNNING)
            tx.run("UPDATE async_job SET state = ?, owner = ?, until = ? WHERE id = ?", (state, self.owner, now + _LEASE_US, found[0]))
            body = self._unpacked(found[4:7], found[0]) if found[8] != STORED else b""
            return Job(found[0], subject_from_json(found[1]), Request(found[2], json.loads(tx.columns.kept_text(found[3], *_asked(found[0]))), body), found[7], found[8])

        return self._store.db.write(claim)

    def begin(self, job: Job) -> None:
        """Let a job begin, unless the token that asked for it was revoked.

        Raises:
            Unauthenticated: It was.
        """
        place = f"{PLACE}/{job.id}"
        with refusals_audited(self._store, Scope(job.subject, "operation", job.number), place), self._store.db.read() as session:
            self._require_token(session, job.id)

    def _require_token(self, session: OneRow, id_: str) -> None:
        found = session.one("SELECT token FROM async_job WHERE id = ?", (id_,))
        if found is not None and self._revoked(session, found[0]):
            raise Unauthenticated("The token that asked for this was revoked.")

    def stored(self, tx: Tx, id_: str) -> None:
        """Say, in the commit of a transaction, that it is carried out.

        Raises:
            Conflict: The job was deleted, or taken over.
            Unauthenticated: The token that asked for it was revoked meanwhile.
        """
        self._require_token(tx, id_)
        if not tx.run(f"UPDATE async_job SET state = {STORED} WHERE id = ? AND owner = ? AND state = {RUNNING}", (id_, self.owner)):
            raise Conflict("This job was cancelled.")

    def finish(self, id_: str, status: int, body: bytes) -> None:
        """Keep the answer, unless nobody wants it any more."""
        packed, now = self._store.codec.pack(body, _place(id_)), clock.now_us()
        sql = (
            f"UPDATE async_job SET state = {DONE}, status = ?, codec = ?, dict_id = ?, body = ?, finished = ?, expires = ? "
            "WHERE id = ? AND owner = ? AND state < ?"
        )
        self._store.db.write(lambda tx: tx.run(sql, (status, *packed, now, now + self._keep_us, id_, self.owner, DONE)))

    def _unpacked(self, packed: tuple[int, int, bytes], id_: str) -> bytes:
        codec, dict_id, body = packed
        return self._store.codec.unpack(codec, dict_id, body, _place(id_))

    def renew(self) -> None:
        """Keep what this process works on."""
        until = clock.now_us() + _LEASE_US
        sql = f"UPDATE async_job SET until = ? WHERE owner = ? AND state IN ({RUNNING}, {STORED})"
        self._store.db.write(lambda tx: tx.run(sql, (until, self.owner)))

    def forget(self) -> None:
        """Drop what expired."""
        self._store.db.write(lambda tx: tx.run("DELETE FROM async_job WHERE expires <= ?", (clock.now_us(),)))


def _place(id_: str) -> str:
    return f"async_job.body/{id_}"


def _asked(id_: str) -> tuple[str, str]:
    """Where the request's line and headers are kept: a search says whom it is about."""
    return "async_job.request", id_
