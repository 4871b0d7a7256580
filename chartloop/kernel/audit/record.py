"""What is recorded of one request, and the exact bytes that are kept of it.

Spec: https://www.rfc-editor.org/rfc/rfc8785 (canonical JSON; the records hold strings and whole numbers only)
"""

import hashlib
from dataclasses import dataclass

import msgspec

from chartloop.kernel import clock, ids
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.errors import Unavailable
from chartloop.kernel.vault.columns import Sealing
from chartloop.kernel.vault.envelope import Altered
from chartloop.kernel.vault.vault import AUDIT, Vault

PLAIN_JSON = 0
"""Codec of bodies that are kept as they are."""

SEALED = 1
"""Codec of bodies that are sealed: the leaf is over the sealed bytes, so that verification needs no key."""


_encoder = msgspec.json.Encoder(order="deterministic")


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One access or change, allowed or denied.

    Attributes:
        action: C, R, U, D or E, as in AuditEvent.action.
        interaction: FHIR interaction or our own word for it.
        outcome: "0" success, "4" minor failure (denied), "8" serious failure.
        subject: Who asked.
        targets: What was touched; a change names versions: "Claim/1/_history/3".
        patients: Patients concerned, for the accounting of disclosures.
        query: Query of a search.
        request: Id of the request.
        reason: Why it was denied, or why it was asked for.
    """

    action: str
    interaction: str
    outcome: str
    subject: Subject
    targets: tuple[str, ...]
    patients: tuple[str, ...]
    query: str = ""
    request: str = ""
    reason: str = ""


def encode(record: AuditRecord, origin: str = "") -> bytes:
    """Write a record as canonical JSON, with an id and the time, and the network address that it came from if one is known."""
    who = record.subject
    return _encoder.encode(
        {
            "action": record.action,
            "id": ids.public_id(),
            "interaction": record.interaction,
            **({"origin": origin} if origin else {}),
            "outcome": record.outcome,
            "patients": record.patients,
            "query": record.query,
            "reason": record.reason,
            "recorded": clock.now_us(),
            "request": record.request,
            "subject": {
                "client": who.client,
                "id": who.id,
                "patient": who.patient,
                "purpose": who.purpose,
                "role": who.role,
                "session": who.session,
                "user": who.user,
            },
            "targets": record.targets,
        }
    )


def kept(record: AuditRecord, vault: Vault | None, origin: str = "") -> tuple[int, bytes]:
    """Return codec and bytes of a record as they are stored."""
    body = encode(record, origin)
    if vault is None or not vault.sealing:
        return PLAIN_JSON, body
    return SEALED, vault.seal(body, AUDIT, AUDIT)


def opened(codec: int, body: bytes, vault: Sealing | None) -> bytes:
    """Return the canonical JSON of a stored record; its place in the log is what the tree proves. A session's vault is `session.columns.vault`.

    Raises:
        Unavailable: It is sealed, and there is no key here.
    """
    if codec == PLAIN_JSON:
        return body
    if vault is None:
        raise Unavailable("The records of the audit log are sealed, and no vault was opened to read them.")
    return vault.open(body, AUDIT)


class Who(msgspec.Struct):
    """Who asked, as it is kept."""

    id: str = ""
    user: str = ""
    role: str = ""
    purpose: str = ""
    client: str = ""
    session: str = ""
    patient: str = ""


class Kept(msgspec.Struct):
    """A record as it is read back; AuditRecord says what each member is."""

    action: str = ""
    id: str = ""
    interaction: str = ""
    outcome: str = ""
    origin: str = ""
    patients: tuple[str, ...] = ()
    query: str = ""
    reason: str = ""
    recorded: int = 0
    request: str = ""
    subject: Who = msgspec.field(default_factory=Who)
    targets: tuple[str, ...] = ()

    @property
    def agent(self) -> str:
        """Who asked: the person in the chart, or the account or engine."""
        return self.subject.user or self.subject.id


_kept = msgspec.json.Decoder(Kept)


def read_stored(codec: int, body: bytes, vault: Sealing | None) -> Kept | None:
    """Open a stored record and read it; None for one that was altered, or whose key was destroyed.

    Raises:
        Unavailable: It is sealed, and there is no key here.
    """
    try:
        return read_kept(opened(codec, body, vault))
    except Altered:
        return None


def read_kept(body: bytes) -> Kept | None:
    """Read a stored record; None for one that cannot be read: verification says that."""
    try:
        return _kept.decode(body)
    except msgspec.DecodeError:
        return None


def leaf_of(body: bytes) -> bytes:
    """Hash the stored bytes of a record as a leaf of the tree (RFC 6962)."""
    return hashlib.sha256(b"\x00" + body).digest()
