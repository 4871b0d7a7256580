"""EHRs elsewhere whose patients are known here too: by a rule that somebody configured, and on the word of that EHR itself.

A call may say anything of its patient. So the EHR is asked for the Patient with the token that came along: whoever holds no token of it that opens this
very Patient is told nothing. Only the configured address is called, never the one of the call. No match and several matches are no patient.
Spec: https://cds-hooks.hl7.org/2.0/#passing-the-access-token-to-the-cds-service
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from cds_hooks.request import HookRequest
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.audit.record import AuditRecord
from chartloop.kernel.errors import ChartloopError
from fhir_server.repository import Repository

MAPPED: Final = "patient-mapped"
_ID: Final = re.compile(r"[A-Za-z0-9.\-]{1,64}")
_SPECIAL: Final = re.compile(r"([\\,|$])")

ReadThere = Callable[[str, str], Mapping[str, Any]]
"""Reads a resource of another server by its address, with an access token; a ChartloopError where it does not come."""


class EhrRule(NamedTuple):
    """How the patients of one EHR are found here.

    Attributes:
        fhir_server: Base URL of its FHIR server, as its calls name it.
        system: Namespace of the identifier that both know; empty where ids are alike.
        prefix: What stands in front of its ids here; used without a system.
    """

    fhir_server: str
    system: str = ""
    prefix: str = ""

    @property
    def words(self) -> str:
        """The rule, for the audit log."""
        return f"identifier of {self.system}" if self.system else f"id after {self.prefix}"


class Ehrs:
    """The EHRs that are known."""

    def __init__(self, rules: Iterable[EhrRule], repository: Repository, engine: Subject, audit: Audit, read_there: ReadThere) -> None:
        """Take the rules, the store, who looks patients up and reads for them, the audit log, and how another server is asked."""
        self._rules = {rule.fhir_server.rstrip("/"): rule for rule in rules}
        self._repository, self._engine, self._audit, self._read_there = repository, engine, audit, read_there

    def knows(self, fhir_server: str) -> bool:
        """Whether there is a rule for a server."""
        return fhir_server in self._rules

    def reader(self, patient: str, fhir_server: str) -> Subject:
        """As whom predictions are read for a call that was mapped: of one patient, and nothing else."""
        return replace(self._engine, patient=f"Patient/{patient}", scopes=("patient/RiskAssessment.rs",), client=fhir_server)

    def find(self, call: HookRequest, token: str, request_id: str) -> str:
        """Find the id of our patient, "" if there is none for sure; which rule found it is recorded.

        Raises:
            Unavailable: It cannot be recorded.
        """
        rule = self._rules[call.fhir_server]
        theirs = f"{rule.fhir_server.rstrip('/')}/Patient/{call.patient}"
        found, why = self._matches(rule, theirs, call.patient, token, request_id)
        ours = found[0] if len(found) == 1 else ""
        outcome, said = ("0", rule.words) if ours else ("4", f"{rule.words}: {why or f'{len(found)} patients'}")
        who = replace(self._engine, client=call.fhir_server)
        patients = (f"Patient/{ours}",) if ours else ()
        self._audit.access(AuditRecord("E", MAPPED, outcome, who, (theirs, *patients), patients, f"user={call.user}"[:500], request_id, said))
        return ours

    def _matches(self, rule: EhrRule, theirs: str, id_: str, token: str, request_id: str) -> tuple[list[str], str]:
        try:
            patient = self._read_there(theirs, token)
        except ChartloopError:
            return [], "its Patient was not given for this token"
        if patient.get("resourceType") != "Patient" or patient.get("id") != id_:
            return [], "it gave something else than this Patient"
        if not rule.system:
            named = f"{rule.prefix}{id_}"
            return (self._ours(f"_id={named}", request_id), "") if _ID.fullmatch(named) else ([], "no id of ours")
        values = set(_values(patient, rule.system))
        if len(values) != 1:
            return [], f"{len(values)} identifiers"
        return self._ours(f"identifier={quote(f'{_escaped(rule.system)}|{_escaped(values.pop())}', safe='')}", request_id), ""

    def _ours(self, query: str, request_id: str) -> list[str]:
        """Patients of ours that match, at most a few of them; whose record was merged into another's is none."""
        page = self._repository.search(Scope(replace(self._engine, scopes=("system/Patient.rs",)), "search", request_id), "Patient", f"{query}&_count=3")
        return [stored.id for stored in page.entries if _lives(stored.json())]


def _values(patient: Mapping[str, Any], system: str) -> Iterable[str]:
    for each in patient.get("identifier") or ():
        if isinstance(each, dict) and each.get("system") == system and each.get("use") != "old":
            value = each.get("value")
            if isinstance(value, str) and value.strip():
                yield value


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)


def _lives(patient: Mapping[str, Any]) -> bool:
    return not any(link.get("type") == "replaced-by" for link in patient.get("link") or ())
