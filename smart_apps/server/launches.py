"""Launch tokens: what the EHR's context is when it starts an app, bound to one session and one client.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#launch-app-ehr-launch
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from chartloop.kernel import clock
from smart_apps.opaque import digest, new_secret

if TYPE_CHECKING:
    from chartloop.kernel.db import Tx

LAUNCH_TTL_S = 300
MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class LaunchContext:
    """What is open in the EHR.

    Attributes:
        patient: Bare id.
        encounter: Bare id.
        intent: What the app was started for.
        references: What else is open, "Task/1"; patient and encounter have members of their own and never stand here.
        app_context: What a CDS card tells its app.
        need_patient_banner: Whether it is left to the app to say whose chart this is.
        simulate: An error that a test client asked for.
    """

    patient: str = ""
    encounter: str = ""
    intent: str = ""
    references: tuple[str, ...] = ()
    app_context: str = ""
    need_patient_banner: bool = True
    simulate: str = ""

    def parameters(self) -> dict[str, Any]:
        """Give the members of the token response; what is not open is absent."""
        named = {"patient": self.patient, "encounter": self.encounter, "intent": self.intent, "appContext": self.app_context}
        answer: dict[str, Any] = {name: value for name, value in named.items() if value}
        others = [reference for reference in self.references if not reference.startswith(("Patient/", "Encounter/"))]
        if others:
            answer["fhirContext"] = [{"reference": reference} for reference in others]
        return answer


def context_to_json(context: LaunchContext) -> str:
    """Write a context for a row."""
    return msgspec.json.encode(context).decode()


def json_to_context(text: str) -> LaunchContext:
    """Read a context back from a row."""
    return msgspec.json.decode(text, type=LaunchContext)


def mint_launch(tx: Tx, session: str, client_id: str, context: LaunchContext) -> str:
    """Make a launch token for one session and one client."""
    token = new_secret()
    now = clock.now_us()
    tx.run("delete from smart_launch where expires < ?", (now,))
    tx.run(
        "insert into smart_launch (digest, session, client_id, context, expires, used) values (?, ?, ?, ?, ?, 0)",
        (digest(token), session, client_id, context_to_json(context), now + LAUNCH_TTL_S * MICROSECONDS),
    )
    return token


def redeem_launch(tx: Tx, token: str, session: str, client_id: str) -> LaunchContext | None:
    """Spend a launch token; None when it is unknown, old, spent, or somebody else's."""
    spent = tx.run(
        "update smart_launch set used = 1 where digest = ? and session = ? and client_id = ? and used = 0 and expires > ?",
        (digest(token), session, client_id, clock.now_us()),
    )
    if spent != 1:
        return None
    row = tx.one("select context from smart_launch where digest = ?", (digest(token),))
    return None if row is None else json_to_context(row[0])
