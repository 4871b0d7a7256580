"""Patients come, visit and leave: the population over FHIR, their visits as HL7 v2 messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from chartloop.demo.fhir_client import FhirClient, Resource
from chartloop.demo.messages import Visit, for_loaded_patient, plan_visits, visit_messages
from chartloop.demo.mllp_client import MllpClient
from chartloop.demo.parts import Demo
from chartloop.demo.population import DAY, Population, generate
from chartloop.demo.steps import Counts, Steps, require

VISITS_OF_LOADED_PATIENTS = 8
VISITS_TO_REVIEW = 6
MALFORMED = "MSH|^~\\&|DEMO|MEADOW|CHARTLOOP|CHARTLOOP|20261116080000||ADT^A01^ADT_A01|malformed-1|T|2.5.1\rPV1|1|O\r"


@dataclass(slots=True)
class Visits:
    """The visits of a demo, and what is known of them."""

    visits: Sequence[Visit]
    _by_number: dict[str, Visit] = field(init=False)

    def __post_init__(self) -> None:
        self._by_number = {visit.number: visit for visit in self.visits}

    @property
    def count(self) -> int:
        return len(self.visits)

    def holds(self, client: FhirClient, task: Resource) -> bool:
        """Whether a review Task is of one of these visits."""
        return self._visit_of(client, task) is not None

    def codes_of(self, client: FhirClient, task: Resource) -> Sequence[str]:
        """Codes that the note of a review Task supports; none for an encounter that is not of this demo."""
        visit = self._visit_of(client, task)
        return visit.note.codes if visit else ()

    def _visit_of(self, client: FhirClient, task: Resource) -> Visit | None:
        encounter = client.get(task["encounter"]["reference"])
        numbers = [identifier.get("value", "") for identifier in encounter.get("identifier", ())]
        return next((self._by_number[number] for number in numbers if number in self._by_number), None)

    def claims(self, client: FhirClient, sent_identifier: str) -> Iterator[str]:
        """Ids of the claims that were sent."""
        for claim in client.each(f"Claim?identifier={sent_identifier}&_count=200"):
            yield str(claim["id"])


def send_visits(demo: Demo, loaded: Sequence[Resource], steps: Steps, seed: int) -> Visits:
    """Load the population and send every visit; what was loaded or sent before changes nothing."""
    population = generate(seed=seed, payer_address=demo.payer_base)
    with steps.step("patients", "Load the clinic, its payers and its patients") as counts:
        _load(demo, population, counts)
        counts["loaded_patients"] = len(loaded)
    visits = Visits([*population.visits, *_visits_of(loaded, seed)])
    with steps.step("messages", "Send the visits as HL7 v2 over MLLP: ADT, MDM, DFT") as counts:
        _send(demo, visits.visits, counts)
        counts["visits_of_added_patients"] = len(population.visits)
        counts["visits_of_loaded_patients"] = visits.count - len(population.visits)
    return visits


def send_visits_to_review(demo: Demo, counts: Counts, seed: int) -> None:
    """Send the visits of the next day; nobody reviews them but you. Half of them are with psychiatry."""
    people = generate(seed=seed, payer_address=demo.payer_base).people[:VISITS_TO_REVIEW]
    with MllpClient("127.0.0.1", demo.mllp_port) as client:
        for visit in plan_visits(people, DAY + timedelta(days=1), seed):
            for message in visit_messages(visit):
                client.deliver(message.text)
    counts["visits"] = len(people)


def _load(demo: Demo, population: Population, counts: Counts) -> None:
    operator = demo.as_role("operator")
    counts.update({"added_patients": 0, "resources": 0})
    for bundle in (population.directory, *population.bundles):
        operator.transaction(bundle)
        counts["resources"] += len(bundle["entry"])
    counts["added_patients"] = len(population.people)
    # The payers may listen on another port than in the run before.
    for endpoint in list(operator.each("Endpoint")):
        payer = endpoint["address"].rsplit("/", 1)[-1]
        address = f"{demo.payer_base}/payers/{payer}"
        if "/payers/" in endpoint["address"] and endpoint["address"] != address:
            operator.put({**endpoint, "address": address})


def _visits_of(loaded: Sequence[Resource], seed: int) -> Iterable[Visit]:
    found = 0
    for index, patient in enumerate(loaded):
        visit = for_loaded_patient(patient, index=index, day=DAY, seed=seed) if found < VISITS_OF_LOADED_PATIENTS else None
        if visit is not None:
            found += 1
            yield visit


def _send(demo: Demo, visits: Sequence[Visit], counts: Counts) -> None:
    counts.update({"messages": 0, "repeated": 0, "refused": 0})
    with MllpClient("127.0.0.1", demo.mllp_port) as client:
        for visit in visits:
            for message in visit_messages(visit):
                client.deliver(message.text)
                counts["messages"] += 1
        if visits:
            client.deliver(visit_messages(visits[0])[0].text)
            counts["repeated"] += 1
        require(not client.send(MALFORMED).accepted, "a message without a patient was accepted")
        counts["refused"] += 1
