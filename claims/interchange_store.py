"""Interchanges as rows: queue, state changes, what belongs to which claim. SQL of the claims engine lives here."""

from collections.abc import Sequence
from typing import NamedTuple

from chartloop.kernel import clock
from chartloop.kernel.db import Database, OneRow, Session, Tx
from chartloop.kernel.events import Event
from chartloop.kernel.inbox import accept
from chartloop.kernel.worker import Permanent
from claims.control_numbers import draw_number

QUEUED, SENDING, SENT, UNKNOWN, ACKNOWLEDGED, REJECTED = "queued", "sending", "sent", "unknown", "acknowledged", "rejected"
WITHHELD = "withheld"
"""State of what was queued, and may not leave any more."""

RECEIVED, PROCESSED = "received", "processed"
AGAIN = "again"
"""Note of an answer that is looked at once more, since a claim that it speaks of was sent meanwhile."""
_COLUMNS = "id, direction, payer, isa13, gs06, kind, state, idempotency_key, attempts, created, sent, updated, note, body"


class StoredInterchange(NamedTuple):
    """One row."""

    id: int
    direction: str
    payer: str
    isa13: str
    gs06: str
    kind: str
    state: str
    idempotency_key: str
    attempts: int
    created: int
    sent: int
    updated: int
    note: str
    body: bytes


class Submission(NamedTuple):
    """A claim that went out."""

    pcn: str
    claim: str
    payer: str
    interchange: int


def add_interchange(tx: Tx, direction: str, payer: str, isa13: str, gs06: str, kind: str, state: str, key: str, body: bytes) -> int:
    """Store an interchange and return its number."""
    number, now = draw_number(tx, "interchange"), clock.now_us()
    tx.run(
        f"INSERT INTO interchange ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        (number, direction, payer, isa13, gs06, kind, state, key, 0, now, 0, now, "", tx.columns.keep(body, "interchange.body", number)),
    )
    return number


def interchange(session: Session, number: int) -> StoredInterchange | None:
    """Return an interchange by number."""
    return _row(session, session.one(f"SELECT {_COLUMNS} FROM interchange WHERE id = ?", (number,)))


def interchange_of(db: Database, event: Event) -> StoredInterchange:
    """Return the interchange that an event ("interchange/1") speaks of.

    Raises:
        Permanent: There is none: trying again will not make one.
    """
    with db.read() as session:
        row = interchange(session, int(event.subject.partition("/")[2]))
    if row is None:
        raise Permanent("The interchange does not exist.")
    return row


def sent_by_isa13(session: Session, payer: str, isa13: str) -> StoredInterchange | None:
    """Return what went out to a payer under this ISA13."""
    sql = f"SELECT {_COLUMNS} FROM interchange WHERE direction = 'out' AND payer = ? AND isa13 = ?"
    return _row(session, session.one(sql, (payer, isa13)))


def sent_by_gs06(session: Session, payer: str, gs06: str) -> StoredInterchange | None:
    """Return what went out to a payer under this GS06."""
    sql = f"SELECT {_COLUMNS} FROM interchange WHERE direction = 'out' AND payer = ? AND gs06 = ?"
    return _row(session, session.one(sql, (payer, gs06)))


def by_isa13(session: Session, isa13: str) -> list[StoredInterchange]:
    """Return outbound interchanges of any payer under an ISA13, with or without its sender in front."""
    sql = f"SELECT {_COLUMNS} FROM interchange WHERE direction = 'out' AND isa13 = ? ORDER BY id"
    return [found for row in session.all(sql, (isa13.rpartition("-")[2],)) if (found := _row(session, row))]


def move(tx: Tx, number: int, states: Sequence[str], state: str, *, note: str = "", attempt: bool = False) -> bool:
    """Change the state if it is one of these; say whether it was."""
    now = clock.now_us()
    marks = ",".join("?" * len(states))
    sent = ", sent = ?" if state == SENT else ""
    params = [state, now, note, int(attempt), *([now] if sent else []), number, *states]
    sql = f"UPDATE interchange SET state = ?, updated = ?, note = ?, attempts = attempts + ?{sent} WHERE id = ? AND state IN ({marks})"
    return tx.run(sql, params) == 1


def submit(tx: Tx, submission: Submission) -> None:
    """Remember which interchange carries which claim."""
    sql = (
        "INSERT INTO claim_submission (pcn, claim, payer, interchange, payer_control) VALUES (?,?,?,?,'')"
        " ON CONFLICT (pcn) DO UPDATE SET interchange = excluded.interchange, claim = excluded.claim, payer = excluded.payer"
    )
    tx.run(sql, tuple(submission))


def submissions(session: Session, number: int) -> list[Submission]:
    """Return the claims an interchange carries."""
    sql = "SELECT pcn, claim, payer, interchange FROM claim_submission WHERE interchange = ? ORDER BY pcn"
    return [Submission(*row) for row in session.all(sql, (number,))]


def submission_of(session: Session, *, payer: str = "", pcn: str = "", payer_control: str = "", claim: str = "") -> Submission | None:
    """Find a submitted claim by patient control number, by the payer's own number, or by its id."""
    for column, value in (("pcn", pcn), ("payer_control", payer_control), ("claim", claim)):
        if value:
            sql = f"SELECT pcn, claim, payer, interchange FROM claim_submission WHERE {column} = ?"
            row = session.one(sql + (" AND payer = ?" if payer else ""), (value, payer) if payer else (value,))
            if row is not None:
                return Submission(*row)
    return None


def add_answer(tx: Tx, claim: str, fact: str, number: int, kind: str, data: str, payer_control: str = "") -> None:
    """Keep what a payer said about a claim; the same fact counts once."""
    sql = "INSERT INTO claim_answer (claim, fact, interchange, kind, recorded, data) VALUES (?,?,?,?,?,?) ON CONFLICT DO NOTHING"
    tx.run(sql, (claim, fact, number, kind, clock.now_us(), tx.columns.keep_text(data, "claim_answer.data", claim, fact)))
    if payer_control:
        tx.run("UPDATE claim_submission SET payer_control = ? WHERE claim = ?", (payer_control, claim))


def answers(session: Session, claim: str) -> list[tuple[str, int, int, str]]:
    """Return (fact, interchange, recorded, data) of a claim in order of arrival."""
    sql = "SELECT fact, interchange, recorded, data FROM claim_answer WHERE claim = ? ORDER BY recorded, fact"
    rows = session.all(sql, (claim,))
    return [(str(f), int(i), int(r), session.columns.kept_text(str(d), "claim_answer.data", claim, f)) for f, i, r, d in rows]


def unpaid(session: Session, before: int) -> list[tuple[str, int]]:
    """Return (claim, sent) of what went out until an instant, in microseconds since 1970, arrived as far as one knows, and was neither paid nor denied."""
    sql = (
        "SELECT s.claim, i.sent FROM interchange i JOIN claim_submission s ON s.interchange = i.id"
        " WHERE i.direction = 'out' AND i.state IN (?, ?) AND i.sent > 0 AND i.sent <= ?"
        " AND NOT EXISTS (SELECT 1 FROM claim_answer a WHERE a.claim = s.claim AND a.kind = '835') ORDER BY i.sent, s.pcn"
    )
    return [(str(claim), int(sent)) for claim, sent in session.all(sql, (SENT, ACKNOWLEDGED, before))]


def remember_stranger(tx: Tx, payer: str, control: str, number: int) -> None:
    """Remember that an answer speaks of a claim (its patient control number) that was never sent."""
    accept(tx, f"stranger/{payer}/{control}", str(number), b"")


def recall_strangers(tx: Tx, payer: str, control: str) -> list[int]:
    """A claim is sent: give the answers that spoke of it back to be looked at, and return their numbers."""
    source = f"stranger/{payer}/{control}"
    numbers = [int(row[0]) for row in tx.all("SELECT key FROM inbox WHERE source = ?", (source,))]
    tx.run("DELETE FROM inbox WHERE source = ?", (source,))
    return [number for number in numbers if move(tx, number, [PROCESSED], RECEIVED, note=AGAIN)]


def payers(session: Session) -> list[str]:
    """Return the payers that something was ever queued for."""
    return [str(row[0]) for row in session.all("SELECT DISTINCT payer FROM interchange WHERE direction = 'out' ORDER BY payer")]


def waiting(session: Session) -> list[tuple[str, str, int, int]]:
    """Return (payer, state, how many, microsecond of the oldest) of what was not delivered: queued, sending or unknown."""
    rows = session.all(
        "SELECT payer, state, count(*), min(created) FROM interchange"
        " WHERE direction = 'out' AND state IN ('queued', 'sending', 'unknown') GROUP BY payer, state ORDER BY payer, state"
    )
    return [(str(payer), str(state), int(number), int(oldest)) for payer, state, number, oldest in rows]


def mailbox_position(session: OneRow, payer: str) -> int:
    """Return the last mailbox item taken from a payer."""
    row = session.one("SELECT position FROM claims_mailbox WHERE payer = ?", (payer,))
    return int(row[0]) if row else 0


def set_mailbox_position(tx: Tx, payer: str, position: int) -> None:
    """Remember the last mailbox item taken."""
    sql = (
        "INSERT INTO claims_mailbox (payer, position) VALUES (?, ?) ON CONFLICT (payer) DO UPDATE SET position = excluded.position"
        " WHERE excluded.position > claims_mailbox.position"
    )
    tx.run(sql, (payer, position))


def _row(session: Session, row: tuple[object, ...] | None) -> StoredInterchange | None:
    if row is None:
        return None
    found = StoredInterchange(*row)  # type: ignore[arg-type]
    return found._replace(body=session.columns.kept(bytes(found.body), "interchange.body", found.id))
