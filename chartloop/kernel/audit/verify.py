"""Checking the audit log: every record, every tree head, what is missing, what was put in between.

Spec: https://www.rfc-editor.org/rfc/rfc6962#section-2.1
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from chartloop.kernel.audit.findings import Findings
from chartloop.kernel.audit.heads import NO_HEAD, TreeHead, is_signed, read_heads
from chartloop.kernel.audit.journal import audit_directory
from chartloop.kernel.audit.merkle import Frontier
from chartloop.kernel.audit.record import leaf_of
from chartloop.kernel.audit.sealed_segments import SealedSegments
from chartloop.kernel.audit.sealer import HEAD_COLUMNS
from chartloop.kernel.audit.unsealed import check_changes, check_segments, check_versions
from chartloop.kernel.db_session import Database, Row, Session
from chartloop.kernel.keys import signing_key

Versions = Callable[[Session], Iterable[str]]


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
    versions: Versions | None = None,
) -> VerifyReport:
    """Check the audit log of a data directory, or of a copy of it.

    Args:
        db: The database.
        data_dir: The data directory, with journal and heads.
        public_key: Key to trust; without it the one in the data directory.
        heads_file: Heads kept elsewhere; without it those in the data directory.
        versions: Lists every stored version ("Claim/1/_history/3"), to be found again in the records of changes.
    """
    findings = Findings()
    directory = audit_directory(data_dir)
    key = public_key or signing_key(data_dir / "keys").public_key()
    with db.read(snapshot=True) as session:
        heads, cursor = _heads(session)
        _check_chain(heads, read_heads(heads_file or directory / "heads.jsonl"), key, findings)
        sealed, changes, reader = _check_log(session, directory, heads, findings)
        unsealed = check_changes(session, cursor, changes, findings)
        unsealed += check_segments(directory, reader.sealed, findings)
        if versions is not None:
            check_versions(session, versions(session), findings)
    return VerifyReport(findings.ok, sealed, unsealed, len(heads), findings.first_bad, findings.bad_head, findings.problems)


def _heads(session: Session) -> tuple[list[TreeHead], tuple[int, int]]:
    rows = session.all(f"SELECT {HEAD_COLUMNS}, change_xid, change_seq FROM audit_head ORDER BY size")
    cursor = (rows[-1][5], rows[-1][6]) if rows else (-1, 0)
    return [TreeHead(*row[:5]) for row in rows], cursor


def _check_chain(heads: list[TreeHead], outside: list[TreeHead], key: Ed25519PublicKey, findings: Findings) -> None:
    """Check signatures, links, and that what was published outside is still inside."""
    previous = NO_HEAD
    for head in heads:
        if not is_signed(key, head):
            findings.head(head.size, "its signature is wrong")
        if head.previous != previous:
            findings.head(head.size, "it does not continue the head before it")
        previous = head.link()
    inside = {head.size: head for head in heads}
    for head in outside:
        if head.size not in inside:
            findings.head(head.size, "it was published outside the database and is missing inside")
        elif head != inside[head.size]:
            findings.head(head.size, "outside the database another one was published for this size")


def _check_log(
    session: Session, directory: Path, heads: list[TreeHead], findings: Findings
) -> tuple[int, int, SealedSegments]:
    """Check every sealed record and the tree over them; count records and changes."""
    reader = SealedSegments(directory, session.all("SELECT id, name, sealed FROM audit_segment ORDER BY id"))
    tree = Frontier()
    waiting = iter(heads)
    head = next(waiting, None)
    changes = 0
    rows = session.each(
        "SELECT a.seq, a.leaf, a.source, a.position, c.leaf, c.body FROM audit_leaf a"
        " LEFT JOIN audit_change c ON a.source = 0 AND c.seq = a.position ORDER BY a.seq"
    )
    for row in rows:
        if row[0] != tree.size + 1:
            findings.record(tree.size + 1, "it is missing from the log")
            return _rest(tree, rows, changes, reader)
        problem = _problem_of(row, reader)
        if problem:
            findings.record(row[0], problem)
        changes += row[2] == 0
        tree.extend((row[1],))
        if head is not None and tree.size == head.size:
            if tree.root() != head.root:
                findings.head(head.size, "the records under it are not those that were signed")
            head = next(waiting, None)
    if head is not None:
        findings.record(tree.size + 1, f"the log ends before it, but a signed tree head says {heads[-1].size} records")
    elif tree.size and (not heads or heads[-1].size != tree.size):
        findings.record((heads[-1].size if heads else 0) + 1, "no signed tree head covers it")
    return tree.size, changes, reader


def _rest(tree: Frontier, rows: Iterable[Row], changes: int, reader: SealedSegments) -> tuple[int, int, SealedSegments]:
    """Count what follows a gap: nothing after it can be checked against a head."""
    size = tree.size + 1
    changes += 1
    for row in rows:
        size += 1
        changes += row[2] == 0
    return size, changes, reader


def _problem_of(row: Row, reader: SealedSegments) -> str:
    """Say what is wrong with a sealed record; empty when nothing is."""
    _, leaf, source, position, kept_leaf, body = row
    if source:
        return reader.problem(source, position, leaf)
    if body is None:
        return "the record of a change is missing"
    if leaf_of(body) != leaf:
        return "the record of a change was altered"
    return "" if kept_leaf == leaf else "the hash beside the record of a change was altered"
