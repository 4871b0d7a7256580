"""The payer's desk: an interchange comes in, its answers go into the mailbox."""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass, field

from chartloop.demo.payer import answering, edi, writing
from chartloop.demo.payer.deciding import Behaviour, Decision, decide
from chartloop.demo.payer.memory import Memory
from chartloop.demo.payer.reading import Group, Submission, TransactionSet, read
from chartloop.kernel.clock import iso, now_us

SECOND_US = 1_000_000


@dataclass(slots=True)
class Desk:
    """One payer: its name, its seed, its behaviour and the memory it shares with the others."""

    payer: str
    name: str
    seed: int
    memory: Memory
    behaviour: Behaviour = field(default_factory=Behaviour)

    def receive(self, key: str, body: bytes) -> str:
        """Take one interchange; the same key twice changes nothing.

        Returns:
            SHA-256 of the body, hex.

        Raises:
            edi.Unreadable: The body has no ISA segment.
        """
        digest = hashlib.sha256(body).hexdigest()
        submission = read(edi.split(body))
        with self.memory.transaction() as connection:
            row = (self.payer, key, digest, submission.control, submission.sender)
            if connection.execute("insert or ignore into interchange values(?, ?, ?, ?, ?)", row).rowcount == 0:
                self.memory.next(self.payer, "repeated")
                return digest
            self.memory.next(self.payer, "interchanges")
            self._answer(connection, submission)
        return digest

    def _answer(self, connection: sqlite3.Connection, submission: Submission) -> None:
        if submission.acknowledge or submission.envelope_error:
            acknowledged = answering.ta1(submission, submission.envelope_error)
            self._post(connection, "TA1", writing.interchange_acknowledgment(self._envelope(submission), acknowledged), 0.0)
        if submission.envelope_error:
            return
        for group in submission.groups:
            self._acknowledge_group(connection, submission, group)
            for read_set in group.sets:
                if read_set.errors:
                    self.memory.next(self.payer, "refused_sets")
                else:
                    self._adjudicate(connection, submission, read_set)

    def _acknowledge_group(self, connection: sqlite3.Connection, submission: Submission, group: Group) -> None:
        rows = answering.implementation_acknowledgment(group)
        self._post(connection, "999", writing.transaction(self._envelope(submission), "FA", "005010X231A1", rows), 0.0)

    def _adjudicate(self, connection: sqlite3.Connection, submission: Submission, read_set: TransactionSet) -> None:
        decisions = []
        for claim in read_set.claims:
            decision = decide(self.seed, self.payer, self.behaviour, read_set, claim)
            paid = sum((line.paid for line in decision.lines), start=answering.ZERO)
            verdict = "rejected" if decision.rejection else "paid" if paid else "denied"
            row = (self.payer, claim.pcn, verdict, str(paid))
            if connection.execute("insert or ignore into claim values(?, ?, ?, ?)", row).rowcount == 0:
                self.memory.next(self.payer, "duplicates")
                decision = Decision(claim, decision.icn, "A3:54")  # duplicate of a claim already received
            decisions.append(decision)
        if decisions:
            self._post_277ca(connection, submission, read_set, decisions)
            self._post_835(connection, submission, read_set, decisions)

    def _post_277ca(self, connection: sqlite3.Connection, submission: Submission, read_set: TransactionSet, decisions: list[Decision]) -> None:
        envelope = self._envelope(submission)
        rows = answering.claim_acknowledgment((self.payer, self.name), read_set, decisions, f"{envelope.control:09d}", envelope.date, envelope.time)
        self._post(connection, "277CA", writing.transaction(envelope, "HN", "005010X214", rows), self.behaviour.delay_s)

    def _post_835(self, connection: sqlite3.Connection, submission: Submission, read_set: TransactionSet, decisions: list[Decision]) -> None:
        first = [(d, d.lines[: (len(d.lines) + 1) // 2] if d.split else d.lines) for d in decisions if d.lines]
        second = [(d, d.lines[(len(d.lines) + 1) // 2 :]) for d in decisions if d.lines and d.split]
        for parts in filter(None, (first, second)):
            envelope = self._envelope(submission)
            trace = f"{self.payer}{envelope.control:09d}"
            rows = answering.remittance((self.payer, self.name), read_set.provider, parts, trace, envelope.date)
            self._post(connection, "835", writing.transaction(envelope, "HP", "005010X221A1", rows), self.behaviour.delay_s * 2)

    def _envelope(self, submission: Submission) -> writing.Envelope:
        stamp = iso(now_us())
        date, time = stamp[:10].replace("-", ""), stamp[11:16].replace(":", "")
        return writing.Envelope(submission.receiver, submission.sender, self.memory.next(self.payer, "control"), date, time, submission.usage)

    def _post(self, connection: sqlite3.Connection, name: str, body: str, delay_s: float) -> None:
        number = self.memory.next(self.payer, "mailbox")
        connection.execute("insert into mailbox values(?, ?, ?, ?, ?)", (self.payer, number, name, body, now_us() / SECOND_US + delay_s))
