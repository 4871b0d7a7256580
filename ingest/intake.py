"""Where messages enter: durable and structurally checked before they are acknowledged, whatever brought them.

Spec: https://www.hl7.eu/HL7v2x/v29/std29/ch02.html#Heading37 (message acknowledgment)
"""

from __future__ import annotations

import logging
from hashlib import sha256
from typing import TYPE_CHECKING

from chartloop.kernel import clock, ids
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.record import AuditRecord
from chartloop.kernel.errors import Unavailable
from ingest import message_log
from ingest.hl7v2.ack import acknowledge, verdict
from ingest.hl7v2.parser import parse
from ingest.hl7v2.problem import INTERNAL_ERROR, SEGMENT_SEQUENCE, Problem
from ingest.hl7v2.structure import check, is_acknowledgment
from ingest.hl7v2.timestamps import us_to_dtm
from ingest.mapping.patient import patient_key
from ingest.message_log import ACCEPTED, REJECTED, Entry, MessageIdentity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chartloop.kernel.audit.journal import Audit
    from chartloop.kernel.db_session import Database, Tx
    from chartloop.kernel.outbox import Outbox
    from ingest.hl7v2.message import Message

_log = logging.getLogger(__name__)
_CONTROL_ID_LENGTH = 20
RECEIVED = "message-received"
"""Interaction of the audit records of messages."""


class Intake:
    """Receives messages one by one; any number of threads may call it."""

    def __init__(self, database: Database, outbox: Outbox, audit: Audit) -> None:
        """Messages go into `database`, their events into `outbox`, their records into `audit`, all in one transaction."""
        self._database = database
        self._outbox = outbox
        self._audit = audit

    def receive(self, raw: bytes) -> bytes:
        """Keep one message and give its acknowledgment; empty where none is due (an acknowledgment, MSH-15 NE).

        A message that came before, byte for byte, gets the answer it got then and changes nothing. If the store cannot write, the answer
        is AE and nothing is kept, so that the sender sends again.
        """
        message, found = parse(raw)
        if message is not None and is_acknowledgment(message):
            _log.info("An acknowledgment arrived; it gets no answer.", extra={"action": "hl7.acknowledgment_ignored"})
            self._refused(message, "acknowledgment")
            return b""
        problems = (*found, *(check(message) if message is not None else ()))
        return self._settle(raw, message, problems)

    def refuse(self, raw: bytes, reason: str, *, keep: bool) -> bytes:
        """Answer AE to something that is no whole message; keep what arrived of it if that is worth keeping."""
        message = parse(raw).message
        problems = (Problem(SEGMENT_SEQUENCE, reason, "MSH"),)
        if keep and raw:
            return self._settle(raw, message, problems)
        self._refused(message, "not-a-message")
        return self._answer(message, problems)

    def _settle(self, raw: bytes, message: Message | None, problems: Sequence[Problem]) -> bytes:
        entry = self._entry(raw, message, problems)
        try:
            return self._database.write(lambda tx: self._keep(tx, message, entry))
        except Exception as error:
            # only the kind of error: its text may hold what was to be written
            _log.error(
                "A message could not be kept; its sender was told to send it again.",
                extra={"action": "hl7.not_kept", "error": type(error).__name__},
            )
            self._refused(message, "unavailable")
            return self._answer(message, (Problem(INTERNAL_ERROR, "the message could not be stored: send it again"),))

    def _entry(self, raw: bytes, message: Message | None, problems: Sequence[Problem]) -> Entry:
        source = control_id = kind = charset = ""
        if message is not None:
            header = message.header
            source, control_id = f"{header.field(3)}|{header.field(4)}", message.control_id
            kind, charset = f"{message.type}^{message.trigger}", message.codec
        ack = self._answer(message, problems)
        state = ACCEPTED if verdict(problems) == "AA" else REJECTED
        identity = MessageIdentity(source, control_id, sha256(raw).digest())
        return Entry(identity, clock.now_us(), kind, charset, raw, ack, state, message_log.written_problems(problems))

    def _keep(self, tx: Tx, message: Message | None, entry: Entry) -> bytes:
        before = message_log.answered(tx, entry.identity)
        if before is not None:
            number, state, ack = before
            if state != REJECTED or entry.state == REJECTED:
                self._audit.change(tx, _recorded(message, number, "again"))
                return ack
            message_log.keep_again(tx, number, entry)
        else:
            kept = message_log.keep(tx, entry)
            if kept is None:  # the same bytes arrived on another connection in this moment
                again = message_log.answered(tx, entry.identity)
                self._audit.change(tx, _recorded(message, again[0] if again else 0, "again"))
                return again[2] if again else entry.ack
            number, reused = kept
            if reused:
                tx.after_commit(lambda: _warn_of_reuse(number))
        self._audit.change(tx, _recorded(message, number, "" if entry.state == ACCEPTED else "rejected"))
        if entry.state == ACCEPTED and message is not None:
            self._outbox.publish(tx, "MessageReceived", f"hl7-message/{number}", key=ordering_key(message))
        return entry.ack

    def _refused(self, message: Message | None, reason: str) -> None:
        """Record what is not kept; where that cannot be written either, its sender is told to send again."""
        try:
            self._audit.access(AuditRecord("C", RECEIVED, "8" if reason == "unavailable" else "4", _sender(message), ("hl7-message",), (), reason=reason))
        except Unavailable:
            _log.error("A refused message could not be recorded.", extra={"action": "hl7.not_recorded"})

    def _answer(self, message: Message | None, problems: Sequence[Problem]) -> bytes:
        stamp, control_id = us_to_dtm(clock.now_us()), ids.public_id()[:_CONTROL_ID_LENGTH]
        return acknowledge(message, verdict(problems), problems, stamp=stamp, control_id=control_id)


def _sender(message: Message | None) -> Subject:
    """Who a message says that it comes from."""
    return Subject(id=f"hl7:{message.header.field(3)}|{message.header.field(4)}"[:200] if message is not None else "hl7:unknown", role="")


def _recorded(message: Message | None, number: int, reason: str) -> AuditRecord:
    return AuditRecord("C", RECEIVED, "4" if reason == "rejected" else "0", _sender(message), (f"hl7-message/{number}",), (), reason=reason)


def ordering_key(message: Message) -> str:
    """Messages of one sender about one patient stay in their order."""
    segment = message.first("PID")
    key = patient_key(segment) if segment is not None else None
    patient = f"{key.system}|{key.value}" if key else message.control_id
    return f"hl7/{message.header.field(3)}|{message.header.field(4)}/{patient}"


def _warn_of_reuse(number: int) -> None:
    _log.warning(
        "A control id came again with another content; the message is processed and flagged.",
        extra={"action": "hl7.control_id_reused", "number": number},
    )
