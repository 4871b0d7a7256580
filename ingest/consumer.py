"""Received messages become FHIR: one message, one transaction, once."""

from __future__ import annotations

import logging
from typing import Any

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.broker import Once
from chartloop.kernel.db_session import Database, Tx
from chartloop.kernel.errors import Conflict, Invalid, PreconditionFailed, Unprocessable
from chartloop.kernel.events import Event
from chartloop.kernel.worker import Permanent
from fhir_server.repository import Repository
from ingest import message_log
from ingest.applying import BundleWriter, PartiallySeen, remembered
from ingest.finding import RepositoryFinder
from ingest.hl7v2.message import Message
from ingest.hl7v2.parser import parse
from ingest.hl7v2.problem import CONDITIONS, Problem
from ingest.hl7v2.timestamps import dtm_to_us, zone_of
from ingest.mapping.change import ENSURE, Change, Mapped
from ingest.mapping.mapper import message_to_changes
from ingest.message_log import FAILED, MAPPED, LoggedMessage

_log = logging.getLogger(__name__)
_ATTEMPTS = 5
_DIRECTORY = frozenset({"Organization", "Practitioner"})
_REMEMBERED = 10_000
_ISSUES_SHOWN = 3


class MessageConsumer:
    """Maps messages of one patient in their order, patients side by side."""

    name = "hl7-messages"
    types = frozenset({"MessageReceived"})
    subjects = frozenset({"hl7-message"})
    isolation = "patient"

    def __init__(self, database: Database, repository: Repository, subject: Subject) -> None:
        """Read messages from `database`, write through `repository` as `subject`."""
        self._database = database
        self._repository = repository
        self._subject = subject
        self._directory: dict[str, str] = {}  # threads share it; every use is one step

    def handle(self, event: Event, once: Once) -> None:
        """Apply one message; a message that cannot be mapped is a dead letter with its number and positions, never its content."""
        number = int(event.subject.rpartition("/")[2])
        with self._database.read() as session:
            logged = message_log.load(session, number)
        if logged is None:
            raise Permanent(f"HL7 message {number} is not in the log.")
        message, mapped = _mapped(logged)
        errors = [problem for problem in mapped.problems if problem.is_error]
        if message is None or errors:
            self._fail(number, mapped.problems)
            raise Permanent(f"HL7 message {number} cannot be mapped: {'; '.join(map(_told, errors))}.")
        self._apply(number, _event_time(message, logged.received), mapped, Scope(self._subject, "transaction", event.trace or event.id), once)

    def _apply(self, number: int, event_time: int, mapped: Mapped, scope: Scope, once: Once) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._write(number, event_time, mapped, scope, once)
            except (PreconditionFailed, Conflict):
                self._directory.clear()
                if attempt == _ATTEMPTS:
                    raise
            except PartiallySeen:
                self._fail(number, mapped.problems)
                raise Permanent(f"HL7 message {number} changes a labelled resource of which only the identity may be seen.") from None
            except (Invalid, Unprocessable) as error:
                self._fail(number, mapped.problems)
                shown = "; ".join(f"{issue.code} at {issue.expression or 'the bundle'}" for issue in error.issues[:_ISSUES_SHOWN])
                raise Permanent(f"HL7 message {number} gives FHIR that is not valid: {shown}.") from None
            else:
                return

    def _write(self, number: int, event_time: int, mapped: Mapped, scope: Scope, once: Once) -> None:
        with self._database.read() as session:
            latest = message_log.latest_events(session, remembered(mapped.changes))
        writer = BundleWriter(mapped.changes, RepositoryFinder(self._repository, scope), self._directory, latest, event_time)
        problems = message_log.written_problems((*mapped.problems, *writer.problems))

        def also(tx: Tx) -> None:
            once(tx)
            message_log.mark(tx, number, MAPPED, problems)
            for key, place in writer.applied().items():
                message_log.advance(tx, key, place)

        answers = self._repository.transaction(scope, writer.bundle(), also=also)
        self._remember(mapped.changes, writer, answers)
        _log.info("A message was mapped.", extra={"action": "hl7.mapped", "number": number, "entries": len(writer.entries)})

    def _remember(self, changes: tuple[Change, ...], writer: BundleWriter, answers: list[Any]) -> None:
        """Directory resources keep their references: the next message need not look for them."""
        wanted = {change.key.reference for change in changes if change.policy == ENSURE and change.key.type in _DIRECTORY}
        for entry, answer in zip(writer.entries, answers, strict=True):
            if entry.get("fullUrl") in wanted:
                if len(self._directory) > _REMEMBERED:
                    self._directory.clear()
                self._directory[entry["fullUrl"]] = f"{answer.stored.type}/{answer.stored.id}"

    def _fail(self, number: int, problems: tuple[Problem, ...]) -> None:
        self._database.write(lambda tx: message_log.mark(tx, number, FAILED, message_log.written_problems(problems)))


def _mapped(logged: LoggedMessage) -> tuple[Message | None, Mapped]:
    message, found = parse(logged.body)
    if message is None:
        return None, Mapped((), found)
    mapped = message_to_changes(message)
    return message, Mapped(mapped.changes, (*(problem for problem in found if not problem.is_error), *mapped.problems))


def _event_time(message: Message, received: int) -> int:
    """When the sender recorded the event (EVN-2, else MSH-7), never later than it was received."""
    zone = zone_of(message.header.value(7)) or "+00:00"
    times = (dtm_to_us(message.value(name, number), zone) for name, number in (("EVN", 2), ("MSH", 7)))
    return min(next((time for time in times if time is not None), received), received)


def _told(problem: Problem) -> str:
    return f"{problem.position}: {CONDITIONS.get(problem.code, problem.code)}"
