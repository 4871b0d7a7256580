"""What the rules need to know of people, read through the door under an engine's own narrow rights, in one go."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from fhir_server.repository import Repository
from smart_apps.privacy.rules import Access, Facts, Person

_MOST: Final = 200
"""People that one page names."""
_ENCOUNTERS: Final = 1000


@dataclass(frozen=True, slots=True)
class People:
    """Finds who people are."""

    repository: Repository
    engine: Subject
    zone: ZoneInfo

    def facts(self, accesses: Iterable[Access], request: str) -> Facts:
        """Read names, dates of birth and care relations of everybody in these accesses."""
        seen = list(accesses)
        patients = list(dict.fromkeys(each.patient for each in seen if each.patient.startswith("Patient/")))[:_MOST]
        agents = list(dict.fromkeys(each.agent for each in seen if each.agent.startswith("Practitioner/")))[:_MOST]
        asked = [("Patient", f"_id={_ids(patients)}&_count={_MOST}"), ("Encounter", f"patient={_ids(patients)}&_count={_ENCOUNTERS}")] if patients else []
        asked += [("Practitioner", f"_id={_ids(agents)}&_count={_MOST}")] if agents else []
        found = self._read(asked, request)
        named = {_reference(each): _person(each) for each in found if each["resourceType"] == "Patient"}
        families = sorted({person.family for person in named.values() if person.family})
        found += self._read([("Practitioner", f"family={quote(','.join(family.replace(',', ' ') for family in families))}&_count={_MOST}")], request) if families else []
        staff = {_reference(each): _person(each) for each in found if each["resourceType"] == "Practitioner"}
        return Facts(named, staff, frozenset(pair for each in found for pair in _related(each)), self.zone)

    def _read(self, asked: list[tuple[str, str]], request: str) -> list[dict[str, Any]]:
        if not asked:
            return []
        pages = self.repository.searches(Scope(self.engine, "search", request), asked)
        return [stored.json() for page in pages for stored in page.entries]


def _ids(references: Iterable[str]) -> str:
    return ",".join(quote(reference.rpartition("/")[2]) for reference in references)


def _reference(resource: dict[str, Any]) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def _person(resource: dict[str, Any]) -> Person:
    name: dict[str, Any] = next(iter(resource.get("name", [])), {})
    return Person(str(name.get("family", "")), " ".join(name.get("given", [])[:1]), str(resource.get("birthDate", "")))


def _related(resource: dict[str, Any]) -> list[tuple[str, str]]:
    """Pairs of practitioner and patient that a resource speaks of."""
    if resource["resourceType"] == "Patient":
        return [(str(each.get("reference", "")), _reference(resource)) for each in resource.get("generalPractitioner", [])]
    if resource["resourceType"] == "Encounter":
        patient = str(resource.get("subject", {}).get("reference", ""))
        return [(str(each.get("individual", {}).get("reference", "")), patient) for each in resource.get("participant", [])]
    return []
