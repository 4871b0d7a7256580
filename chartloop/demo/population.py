"""A synthetic population from a seed: a clinic, payers, patients with their history, and the visits that messages will bring.

Plain FHIR JSON in transaction bundles; loading them twice creates nothing twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from chartloop.demo.messages import Visit, plan_visits
from chartloop.demo.population_directory import PAYERS, Payer, directory
from chartloop.demo.population_history import history
from chartloop.demo.population_ids import Resource, transaction
from chartloop.demo.population_people import Person, coverage, patient, people

SEED = 20261101
DAY = date(2026, 11, 16)


@dataclass(frozen=True, slots=True)
class Population:
    """Everything that the demo begins with.

    Attributes:
        directory: Bundle of the clinic, payers with their endpoints, practitioners and staff: load it first.
        bundles: One bundle per patient: demographics, coverage, history.
        people: The patients of the bundles, in the same order.
        payers: Whom the simulated payer has to play.
        visits: What happens on the day of the demo, to be sent as HL7 messages.
    """

    directory: Resource
    bundles: tuple[Resource, ...]
    people: tuple[Person, ...]
    payers: tuple[Payer, ...]
    visits: tuple[Visit, ...]


def generate(*, seed: int = SEED, patients: int = 30, day: date = DAY, payer_address: str = "http://127.0.0.1:8090") -> Population:
    """Make the population of a seed.

    Args:
        seed: The same seed gives the same people, numbers and texts.
        patients: How many.
        day: Day of the visits; history lies before it.
        payer_address: Where the simulated payers answer.
    """
    everybody = tuple(people(patients, seed))
    bundles = []
    for person in everybody:
        resource = patient(person)
        bundles.append(transaction([resource, coverage(person, resource), *history(resource, day, seed)]))
    return Population(transaction(directory(payer_address)), tuple(bundles), everybody, PAYERS, tuple(plan_visits(everybody, day, seed)))
