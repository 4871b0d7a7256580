"""Checking the audit log: every record, every tree head, what is missing, what was put in between.

Spec: https://www.rfc-editor.org/rfc/rfc6962#section-2.1
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from chartloop.kernel import clock
from chartloop.kernel.audit import state
from chartloop.kernel.audit.anchors import Anchors, heads_files
from chartloop.kernel.audit.findings import Findings
from chartloop.kernel.audit.heads import NO_HEAD, TreeHead, is_signed, read_heads
from chartloop.kernel.audit.index import INDEXED_FROM
from chartloop.kernel.audit.index_check import IndexCheck
from chartloop.kernel.audit.journal import audit_directory
from chartloop.kernel.audit.merkle import Frontier
from chartloop.kernel.audit.record import Kept, leaf_of, read_stored
from chartloop.kernel.audit.retention import Pruned, tombstones
from chartloop.kernel.audit.sealed_segments import SealedSegments
from chartloop.kernel.audit.sealer import HEAD_COLUMNS
from chartloop.kernel.audit.unsealed import check_changes, check_segments, check_versions
from chartloop.kernel.db_session import Database, Row, Session
from chartloop.kernel.errors import ChartloopError, Unavailable
from chartloop.kernel.keys import signing_key

VERIFIED: Final = "verified"
"""Name of the state that says when the log was last checked, what was found, and how many records were sealed."""

_AT_ONCE: Final = 2000
_SEALED: Final = (
    "SELECT a.seq, a.leaf, a.source, a.position, c.leaf, c.body, c.codec FROM audit_leaf a"
    " LEFT JOIN audit_change c ON a.source = 0 AND c.seq = a.position WHERE a.seq > ? ORDER BY a.seq LIMIT ?"
)

Versions = Callable[[Session, int], Iterable[str]]
"""Lists every version that was stored at or after a microsecond, as "Claim/1/_history/3"."""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was found.

    Attributes:
        ok: Whether everything holds.
        sealed: Records under a signed tree head.
        unsealed: Records that wait for the sealer; they were checked as well.
        heads: Signed tree heads.
        first_bad: First sequence number whose record is altered, missing or out of place.
        bad_head: Size of the first tree head that fails.
        problems: Sentences, the first of each kind first.
    """

    ok: bool
    sealed: int
    unsealed: int
    heads: int
    first_bad: int | None
    bad_head: int | None
    problems: tuple[str, ...]


def verify(
    db: Database,
    data_dir: Path,
    *,
    public_key: Ed25519PublicKey | None = None,
    heads_file: Path | None = None,
    anchor_file: Path | None = None,
    versions: Versions | None = None,
) -> VerifyReport:
    """Check the audit log of a data directory, or of a copy of it.

    Args:
        db: The database.
        data_dir: The data directory, with journal and heads.
        public_key: Key to trust; without it the one in the data directory.
        heads_file: Heads kept elsewhere; without it those in the data directory.
        anchor_file: Heads kept in a second place.
        versions: Lists stored versions, to be found again in the records of changes.
    """
    findings = Findings()
    directory = audit_directory(data_dir)
    key = public_key or signing_key(data_dir / "keys").public_key()
    files = heads_files(directory, heads_file, anchor_file)
    for problem in Anchors(files).problems(db):
        findings.note(problem)
    outside = {file: read_heads(file) for file in files}  # before the snapshot: the log may grow meanwhile, never the other way round
    with db.read(snapshot=True) as session:
        heads, cursor = _heads(session)
        _check_chain(heads, key, findings)
        for file, published in outside.items():
            _check_outside(heads, published, file, findings)
        pruned = _pruned(session, heads, findings)
        sealed, changes, reader = _check_log(session, directory, heads, pruned, findings)
        unsealed = check_changes(session, cursor, changes, findings)
        unsealed += check_segments(directory, reader.sealed, findings)
        if versions is not None:
            check_versions(session, versions(session, pruned.before), findings)
    return VerifyReport(findings.ok, sealed, unsealed, len(heads), findings.first_bad, findings.bad_head, findings.problems)


def _heads(session: Session) -> tuple[list[TreeHead], tuple[int, int]]:
    rows = session.all(f"SELECT {HEAD_COLUMNS}, change_xid, change_seq FROM audit_head ORDER BY size")
    cursor = (rows[-1][5], rows[-1][6]) if rows else (-1, 0)
    return [TreeHead(*row[:5]) for row in rows], cursor


def _pruned(session: Session, heads: list[TreeHead], findings: Findings) -> Pruned:
    """Read what was let go of, and see that it was old enough when a head was signed over it."""
    pruned = tombstones(session)
    if pruned.size:
        head = next((head for head in heads if head.size == pruned.size), None)
        if head is None or head.recorded >= pruned.before:
            findings.note(f"Records 1 to {pruned.size} were let go of, but the signed tree head over them is not as old as that.")
            return Pruned()
    return pruned


def _check_chain(heads: list[TreeHead], key: Ed25519PublicKey, findings: Findings) -> None:
    """Check signatures and links."""
    previous = NO_HEAD
    for head in heads:
        if not is_signed(key, head):
            findings.head(head.size, "its signature is wrong")
        if head.previous != previous:
            findings.head(head.size, "it does not continue the head before it")
        previous = head.link()


def _check_outside(heads: list[TreeHead], outside: list[TreeHead], file: Path, findings: Findings) -> None:
    """See that what was published is still inside, and that no two heads were published for one size."""
    inside = {head.size: head for head in heads}
    seen: dict[int, TreeHead] = {}
    for head in outside:
        if seen.setdefault(head.size, head) != head:
            findings.head(head.size, f"{file.name} holds two different ones of this size: the log was forked")
        elif head.size not in inside:
            findings.head(head.size, "it was published outside the database and is missing inside")
        elif head != inside[head.size]:
            findings.head(head.size, "outside the database another one was published for this size")


def _check_log(
    session: Session, directory: Path, heads: list[TreeHead], pruned: Pruned, findings: Findings
) -> tuple[int, int, SealedSegments]:
    """Check every sealed record and the tree over them; count records and changes that are there."""
    reader = SealedSegments(directory, session.all("SELECT id, name, sealed FROM audit_segment ORDER BY id"))
    index = IndexCheck(max(pruned.size + 1, int(state.value(session, INDEXED_FROM) or 1)))
    tree = Frontier()
    waiting = iter(heads)
    head = next(waiting, None)
    changes = 0
    rows = _sealed_rows(session)
    for row in rows:
        if row[0] != tree.size + 1:
            findings.record(tree.size + 1, "it is missing from the log")
            return _rest(tree, rows, changes, reader)
        gone = _was_let_go(row, reader, pruned)
        problem = "" if gone else _problem_of(row, reader)
        if problem:
            findings.record(row[0], problem)
        elif not gone:
            index.add(row[0], _read(row, reader, session))
        changes += row[2] == 0 and row[5] is not None
        tree.extend((row[1],))
        if head is not None and tree.size == head.size:
            if tree.root() != head.root:
                findings.head(head.size, "the records under it are not those that were signed")
            head = next(waiting, None)
    if head is not None:
        findings.record(tree.size + 1, f"the log ends before it, but a signed tree head says {heads[-1].size} records")
    elif tree.size and (not heads or heads[-1].size != tree.size):
        findings.record((heads[-1].size if heads else 0) + 1, "no signed tree head covers it")
    if findings.first_bad is None:
        index.finish(session, tree.size, findings)
    return tree.size, changes, reader


def _sealed_rows(session: Session) -> Iterator[Row]:
    """Yield what is sealed in its order; a part at a time, for reading a record may ask for its key on the same connection."""
    after = 0
    while rows := session.all(_SEALED, (after, _AT_ONCE)):
        yield from rows
        after = int(rows[-1][0])


def _rest(tree: Frontier, rows: Iterable[Row], changes: int, reader: SealedSegments) -> tuple[int, int, SealedSegments]:
    """Count what follows a gap: nothing after it can be checked against a head."""
    size = tree.size + 1
    changes += 1
    for row in rows:
        size += 1
        changes += row[2] == 0 and row[5] is not None
    return size, changes, reader


def _was_let_go(row: Row, reader: SealedSegments, pruned: Pruned) -> bool:
    """Whether the bytes of a record are gone as a tombstone says; those that are still there are checked like all others."""
    if row[0] > pruned.size:
        return False
    return row[5] is None if row[2] == 0 else reader.is_gone(row[2]) and reader.name(row[2]) in pruned.segments


def _problem_of(row: Row, reader: SealedSegments) -> str:
    """Say what is wrong with a sealed record; empty when nothing is."""
    _, leaf, source, position, kept_leaf, body, _ = row
    if source:
        return reader.problem(source, position, leaf)
    if body is None:
        return "the record of a change is missing"
    if leaf_of(body) != leaf:
        return "the record of a change was altered"
    return "" if kept_leaf == leaf else "the hash beside the record of a change was altered"


def _read(row: Row, reader: SealedSegments, session: Session) -> Kept | None:
    """Read a record for the comparison with the index; None where it cannot be read, or no key is here."""
    stored = (row[6], row[5]) if row[2] == 0 else reader.looked_at
    if stored is None:
        return None
    with suppress(Unavailable):
        return read_stored(stored[0], bytes(stored[1]), session.columns.vault)
    return None


def remember_report(db: Database, report: VerifyReport) -> None:
    """Keep when the log was last checked and what was found, for the privacy officer's page."""
    said = f"{clock.now_us()} {'ok' if report.ok else 'bad'} {report.sealed}"
    with suppress(ChartloopError):  # a copy that may only be read is checked all the same
        db.write(lambda tx: state.remember(tx, VERIFIED, said))
