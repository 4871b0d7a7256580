"""The subject of a request: who asks, in which role, under which SMART scopes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Subject:
    """One authenticated person or engine.

    Attributes:
        id: Stable identity for the audit record, such as "user:7" or "engine:coding".
        role: Role the policies decide on.
        user: Reference of the person in the chart ("Practitioner/1"), or "" for an engine.
        patient: Patient in context ("Patient/1"), from the launch or the patient's own record.
        scopes: SMART scopes of the token; an empty tuple grants nothing.
        purpose: Purpose of use from the token.
        session: Session of the token, for time-boxed grants.
        client: Registered client that holds the token.
        emergency: Patients whose glass the session has broken, for the audit record of the request; decisions look for themselves.
    """

    id: str
    role: str
    user: str = ""
    patient: str = ""
    scopes: tuple[str, ...] = ()
    purpose: str = "TREAT"
    session: str = ""
    client: str = ""
    emergency: tuple[str, ...] = ()
