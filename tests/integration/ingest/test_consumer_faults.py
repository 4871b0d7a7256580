"""The consumer beside other writers, and before a store that refuses."""

import pytest

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.broker import AlreadyHandled
from chartloop.kernel.errors import Issue, PreconditionFailed, Unprocessable
from chartloop.kernel.events import Event
from chartloop.kernel.worker import Permanent
from ingest.consumer import MessageConsumer
from tests.unit.ingest.messages import A04, PID, message, pv1

UPDATE = message("ADT^A08", "M5", PID.replace("Springfield", "Shelbyville"), pv1(), time="20261102083000")
OPERATOR = Subject(id="test", role="operator", scopes=("system/*.cruds",))


def event(number):
    return Event(f"event-{number}", "MessageReceived", f"hl7-message/{number}", 0, "key", "", 0)


class Around:
    """A repository that does something before a transaction."""

    def __init__(self, repository, before):
        self._repository = repository
        self._before = before

    def __getattr__(self, name):
        return getattr(self._repository, name)

    def transaction(self, scope, bundle, *, also=None):
        self._before()
        return self._repository.transaction(scope, bundle, also=also)


@pytest.fixture
def around(database, repository, consumer):
    subject = consumer._subject
    return lambda before: MessageConsumer(database, Around(repository, before), subject)


@pytest.mark.conformance("HL7 v2", "A change by somebody else in between is kept, and the message is applied")
def test_a_change_by_somebody_else_in_between_is_kept_and_the_message_applied(deliver, intake, repository, around, look):
    deliver(A04)
    intake.receive(UPDATE.encode())
    turns = []

    def somebody_else():
        turns.append(1)
        if len(turns) == 1:
            patient = look("Patient")[0]
            body = {name: value for name, value in patient.items() if name not in ("version", "text")}
            repository.update(Scope(OPERATOR, "update", "x"), "Patient", patient["id"], {**body, "active": True})

    around(somebody_else).handle(event(2), lambda _: None)
    (patient,) = look("Patient")
    assert (patient["active"], patient["address"][0]["city"], patient["version"]) == (True, "Shelbyville", 3)
    assert len(turns) == 2


def test_somebody_else_who_never_stops_makes_the_message_wait(deliver, intake, around):
    def refuse():
        raise PreconditionFailed

    intake.receive(A04.encode())
    with pytest.raises(PreconditionFailed):
        around(refuse).handle(event(1), lambda _: None)


def test_fhir_that_the_store_refuses_is_a_dead_letter_with_the_element(database, intake, around):
    def refuse():
        raise Unprocessable(issues=[Issue("error", "value", "quotes Zoë", "Bundle.entry[0].resource.birthDate")])

    intake.receive(A04.encode())
    with pytest.raises(Permanent) as error:
        around(refuse).handle(event(1), lambda _: None)
    assert str(error.value) == "HL7 message 1 gives FHIR that is not valid: value at Bundle.entry[0].resource.birthDate."
    with database.read() as session:
        assert session.one("SELECT state FROM hl7_message") == ("failed",)


def test_a_message_that_was_handled_before_writes_nothing(database, intake, consumer, look):
    intake.receive(A04.encode())

    def handled(_):
        raise AlreadyHandled

    with pytest.raises(AlreadyHandled):
        consumer.handle(event(1), handled)
    assert look("Patient") == []
    with database.read() as session:
        assert session.one("SELECT state FROM hl7_message") == ("accepted",)


def test_a_message_that_is_not_in_the_log_is_a_dead_letter(consumer):
    with pytest.raises(Permanent, match="HL7 message 99 is not in the log"):
        consumer.handle(event(99), lambda _: None)


def test_an_identifier_with_several_owners_is_a_dead_letter(deliver, repository):
    for _ in range(2):
        body = {"resourceType": "Patient", "identifier": [{"system": "https://chartloop.example/fhir/mrn/HILL", "value": "100"}]}
        repository.create(Scope(OPERATOR, "create", "x"), body)
    assert deliver(A04) == {"hl7-message/1": "HL7 message 1 gives FHIR that is not valid: multiple-matches at Patient."}


def test_a_coverage_that_was_loaded_under_the_member_id_alone_is_found(deliver, repository, look):
    scope = Scope(OPERATOR, "create", "x")
    patient = repository.create(scope, {"resourceType": "Patient", "identifier": [{"system": "https://chartloop.example/fhir/mrn/HILL", "value": "100"}]})
    reference = {"reference": f"Patient/{patient.stored.id}"}
    coverage = {"resourceType": "Coverage", "status": "active", "beneficiary": reference, "payor": [reference]}
    repository.create(scope, {**coverage, "identifier": [{"system": "https://chartloop.example/fhir/member-id", "value": "W123456"}]})
    assert deliver(A04) == {}
    (found,) = look("Coverage")
    assert found["subscriberId"] == "W123456"
    assert len(found["identifier"]) == 2
