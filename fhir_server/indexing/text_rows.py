"""The full-text index: FTS5 on SQLite, a tsvector under GIN on PostgreSQL; a table that is there only while it is wanted.

It holds the folded words of every current resource with their places, so that most of a text can be read out of it: whoever
holds the database holds the texts, as with the other index tables. The text itself is in the body alone. SQLite forgets a row
only if it is told the words that it had: they are taken out of the old body again, so a release that changes
`words.text_words` gives TABLE another name. FTS5 keeps the words of the narrative and the others apart; on PostgreSQL one column has the
narrative's, NULL where there are none, and one has them all.
Measured on twelve Synthea bundles: 14 % more disk on SQLite and 41 % on PostgreSQL, a tenth more time for bundles, and for
single creates a quarter more; that is why the setting fhir.full_text is off unless somebody wants it.
Spec: https://www.sqlite.org/fts5.html#contentless_tables, https://www.postgresql.org/docs/current/textsearch.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from chartloop.kernel.db import Database, Session, Tx
from chartloop.kernel.errors import Invalid
from fhir_server.indexing.text_words import NO_WORDS, TextWords, text_words
from fhir_server.rows import version_place
from fhir_server.type_ids import TYPE_NAMES

TABLE: Final = "idx_text"

_MAKE: Final = {
    "sqlite": (f"CREATE VIRTUAL TABLE {TABLE} USING fts5(narrative, content, content='', columnsize=0, tokenize='ascii')",),
    "postgresql": (
        f"CREATE TABLE {TABLE} (rid bigint PRIMARY KEY, narrative tsvector, words tsvector NOT NULL)",
        f"CREATE INDEX {TABLE}_narrative ON {TABLE} USING gin (narrative)",
        f"CREATE INDEX {TABLE}_words ON {TABLE} USING gin (words)",
    ),
}
_INSERT: Final = {
    "sqlite": f"INSERT INTO {TABLE} (narrative, content, rowid) VALUES (?, ?, ?)",
    "postgresql": f"INSERT INTO {TABLE} (narrative, words, rid) VALUES (CAST(? AS tsvector), CAST(? AS tsvector), ?)",
}
_DELETE: Final = {
    "sqlite": f"INSERT INTO {TABLE} ({TABLE}, narrative, content, rowid) VALUES ('delete', ?, ?, ?)",
    "postgresql": f"DELETE FROM {TABLE} WHERE rid = ?",
}
_AT_ONCE: Final = 500
_MOST_PLACES: Final = 255
"""PostgreSQL remembers no more places of one word."""

Unpack = Callable[[int, int, bytes, str], bytes]


def replace_words(tx: Tx, changes: Iterable[tuple[int, TextWords, TextWords]]) -> None:
    """Bring the index from the old words to the new ones, for many resources at once."""
    changed = [change for change in changes if change[1] != change[2]]
    gone = sorted((rid, old) for rid, old, _ in changed if old != NO_WORDS)
    if gone:
        tx.many(_DELETE[tx.dialect], [(rid,) if tx.dialect == "postgresql" else (*old, rid) for rid, old in gone])
    added = sorted((rid, new) for rid, _, new in changed if new != NO_WORDS)
    if added:
        tx.many(_INSERT[tx.dialect], [(*(tsvectors(new) if tx.dialect == "postgresql" else new), rid) for rid, new in added])


def tsvectors(words: TextWords) -> tuple[str | None, str]:
    """Write the words as PostgreSQL reads them, those of the narrative and all; no phrase goes from the one to the other."""
    narrative, content = words.narrative.split(), words.content.split()
    before = [*enumerate(narrative, start=1)]
    return _tsvector(before) if before else None, _tsvector([*before, *enumerate(content, start=len(narrative) + 2)])


def _tsvector(placed: Sequence[tuple[int, str]]) -> str:
    """Words are letters and digits alone, which need no quotes."""
    places: dict[str, list[str]] = {}
    for place, word in placed:
        places.setdefault(word, []).append(str(place))
    return " ".join(f"{word}:{','.join(found[:_MOST_PLACES])}" for word, found in places.items())


def bring_text_index(db: Database, unpack: Unpack, *, wanted: bool) -> None:
    """Make and fill the index, in one transaction, where it is wanted and not there; drop one that nobody keeps up.

    Raises:
        Invalid: This SQLite has no FTS5.
    """
    with db.read() as session:
        there = _there(session)
    if wanted and db.dialect == "sqlite" and not (db.one("SELECT sqlite_compileoption_used('ENABLE_FTS5')") or (0,))[0]:
        raise Invalid("fhir.full_text needs an SQLite with FTS5, and Python's sqlite3 has none here: switch it off, or use PostgreSQL.")
    if wanted and not there:
        db.write(lambda tx: _fill(tx, unpack))
    elif there and not wanted:
        db.write(_drop)


def _there(session: Session) -> bool:
    if session.dialect == "postgresql":
        found = session.one("SELECT to_regclass(?) IS NOT NULL", (TABLE,))
        return bool(found and found[0])
    return session.one("SELECT 1 FROM sqlite_master WHERE name = ?", (TABLE,)) is not None


def _drop(tx: Tx) -> None:
    tx.run(f"DROP TABLE IF EXISTS {TABLE}")


def _fill(tx: Tx, unpack: Unpack) -> None:
    """Index every current resource; another process may have done it meanwhile."""
    if tx.dialect == "postgresql":
        tx.run("LOCK TABLE resource IN SHARE ROW EXCLUSIVE MODE")
    if _there(tx):
        return
    for statement in _MAKE[tx.dialect]:
        tx.run(statement)
    after = -1
    while rows := _bodies(tx, after):
        replace_words(tx, [(int(row[0]), NO_WORDS, _words(unpack(int(row[1]), int(row[2]), bytes(row[3]), version_place(TYPE_NAMES[row[4]], row[5], row[6])))) for row in rows])
        after = int(rows[-1][0])


def _words(body: bytes) -> TextWords:
    return text_words(msgspec.json.decode(body))


def _bodies(tx: Tx, after: int) -> list[tuple[Any, ...]]:
    return tx.all(
        "SELECT r.rid, v.codec, v.dict_id, v.body, r.type_id, r.fhir_id, v.version FROM resource r CROSS JOIN version v WHERE v.rid = r.rid "
        "AND v.version = r.version AND r.deleted = 0 AND r.rid > ? ORDER BY r.rid LIMIT ?",
        (after, _AT_ONCE),
    )
