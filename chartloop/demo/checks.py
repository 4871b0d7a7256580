"""What must be true at the end of a demo: who sees what, and that the payer counted as we did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from chartloop.demo.fhir_client import FhirClient
from chartloop.demo.steps import Counts, StepFailed, require


@dataclass(frozen=True, slots=True)
class Psychiatric:
    """One psychiatric note, its patient, and the Claim that was coded from it."""

    note: str  # "DocumentReference/1"
    patient: str  # "Patient/1"
    claim: str  # "Claim/1"


def find_psychiatric(allowed: FhirClient, general: FhirClient) -> Psychiatric:
    """Find a note that the behavioral-health coder sees and a general coder does not, whose claim was sent: a draft may have no codes yet."""
    hidden = {note["id"] for note in general.each("DocumentReference?_count=200")}
    for note in allowed.each("DocumentReference?_count=200"):
        encounters = note.get("context", {}).get("encounter", ())
        if note["id"] in hidden or not encounters:
            continue
        encounter = encounters[0]["reference"]
        for claim in allowed.each(f"Claim?encounter={encounter}&status=active"):
            return Psychiatric(f"DocumentReference/{note['id']}", note["subject"]["reference"], f"Claim/{claim['id']}")
    raise StepFailed("no psychiatric note with a claim was found")


def check_access(clients: Mapping[str, FhirClient], counts: Counts) -> None:
    """A billing administrator reads the Claim with its codes, and finds no trace of the note behind it.

    Raises:
        StepFailed: A path gave more, or less, than the policy says.
    """
    secret = find_psychiatric(clients["behavioral-health-coder"], clients["coder"])
    billing, checks = clients["billing-administrator"], 0

    def answers(client: FhirClient, path: str, status: int) -> httpx.Response:
        nonlocal checks
        response = client.request("GET", path)
        require(response.status_code == status, f"GET {path.split('?', maxsplit=1)[0]} answered {response.status_code}, {status} was expected")
        checks += 1
        return response

    claim = answers(billing, secret.claim, 200).json()
    require(bool(claim["diagnosis"][0]["diagnosisCodeableConcept"]["coding"][0]["code"]), "the claim lost its codes")
    answers(billing, secret.note, 404)
    answers(billing, f"{secret.note}/_history/1", 404)
    note_id = secret.note.split("/")[1]
    searched = answers(billing, f"DocumentReference?_id={note_id}&_total=accurate", 200).json()
    require(searched.get("total") == 0 and not searched.get("entry"), "a search gave the note away")
    seen = len(list(billing.each(f"DocumentReference?patient={secret.patient}")))
    require(billing.total(f"DocumentReference?patient={secret.patient}") == seen, "a total counts what is hidden")
    included = answers(billing, f"Encounter?patient={secret.patient}&_revinclude=DocumentReference:encounter", 200)
    require(note_id not in included.text, "an include gave the note away")
    answers(clients["coder"], secret.note, 404)
    answers(clients["behavioral-health-coder"], secret.note, 200)
    answers(clients["researcher"], secret.patient, 403)
    answers(FhirClient(billing.base, ""), secret.claim, 401)
    counts["checks"] = checks
