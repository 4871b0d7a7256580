"""What the rows of one resource need to know of another: the person of a Patient, the visit of an Encounter, and so on.

A merged Patient names its survivor, so that a chain of merges, or a circle, is followed anew each time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from chartloop.kernel.db import Session
from omop_bridge.lineage import Reference, facts_of

UNKNOWN: Final = ""
_PERSON, _MERGED, _VISIT, _SITE, _CODE = "person", "merged", "visit", "site", "code"
_LONGEST_CHAIN = 16


def person_fact(person: int) -> str:
    """A Patient that is a person."""
    return f"{_PERSON} {person}"


def merged_fact(survivor: str) -> str:
    """A Patient that was merged into another."""
    return f"{_MERGED} {survivor}"


def visit_fact(visit: int, person: int) -> str:
    """An Encounter that is a visit, and whose."""
    return f"{_VISIT} {visit} {person}"


def site_fact(site: int) -> str:
    """An Organization that is a place of care."""
    return f"{_SITE} {site}"


def code_fact(code: Mapping[str, Any] | None) -> str:
    """The codes of a Medication."""
    codings = [{name: coding[name] for name in ("system", "code", "userSelected") if name in coding} for coding in (code or {}).get("coding", ())]
    return f"{_CODE} {json.dumps({'coding': codings})}" if codings else UNKNOWN


def to_reference(text: str) -> Reference:
    """`Type/id` as a reference."""
    return Reference(*text.split("/", 1))


class Facts:
    """What is known now: what this pass has found, over what the lineage knows."""

    def __init__(self, session: Session, found: Mapping[Reference, str]) -> None:
        """Take the lineage, and what was found since."""
        self._session = session
        self._found = found
        self._loaded: dict[Reference, str] = {}

    def load(self, references: Iterable[Reference]) -> None:
        """Fetch what will be asked for, in few statements."""
        wanted = [each for each in references if each not in self._found and each not in self._loaded]
        known = facts_of(self._session, wanted)
        self._loaded |= {each: known.get(each, UNKNOWN) for each in wanted}

    def __getitem__(self, reference: Reference) -> str:
        """What is known of one resource; empty where nothing is."""
        found = self._found.get(reference)
        if found is None:
            if reference not in self._loaded:
                self.load([reference])
            found = self._loaded[reference]
        return found

    def person(self, patient: str) -> int | None:
        """The person of a Patient, or of the one it was merged into; None where there is none, or merges go in a circle."""
        for _ in range(_LONGEST_CHAIN):
            if not patient:
                return None
            kind, _, rest = self[to_reference(patient)].partition(" ")
            if kind == _PERSON:
                return int(rest)
            patient = rest if kind == _MERGED else ""
        return None

    def visit(self, encounter: str, person: int) -> int | None:
        """The visit of an Encounter, if it is this person's."""
        words = self[to_reference(encounter)].split() if encounter else []
        return int(words[1]) if words[:1] == [_VISIT] and int(words[2]) == person else None

    def care_site(self, organization: str) -> int | None:
        """The place of care that an Organization is."""
        words = self[to_reference(organization)].split() if organization else []
        return int(words[1]) if words[:1] == [_SITE] else None

    def medication(self, medication: str) -> Mapping[str, Any] | None:
        """The code of a Medication."""
        kind, _, rest = self[to_reference(medication)].partition(" ") if medication else ("", "", "")
        code: Mapping[str, Any] | None = json.loads(rest) if kind == _CODE else None
        return code
