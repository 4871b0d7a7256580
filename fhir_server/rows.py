"""Read rows of the store: current resources and versions, always through a row filter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from chartloop.kernel.access.labels import CODES
from chartloop.kernel.access.rows import EVERYTHING, RowAttributes, RowFilter
from chartloop.kernel.db import OneRow, Session
from chartloop.kernel.errors import Gone, NotFound
from fhir_server.type_ids import TYPE_IDS, TYPE_NAMES

POST: Final = 1
PUT: Final = 2
DELETE: Final = 3
METHODS: Final = {POST: "POST", PUT: "PUT", DELETE: "DELETE"}
CHUNK: Final = 500
"""Most ids in one IN list."""


class Row(NamedTuple):
    """One version of a resource, its body still packed; labels are those of the version and the current ones."""

    rid: int
    type_id: int
    id: str
    version: int
    updated: int
    method: int
    patient: str
    owner: str
    insurer: str
    codec: int
    dict_id: int
    packed: bytes
    labels: frozenset[str]
    current: int

    @property
    def type(self) -> str:
        """Resource type."""
        return TYPE_NAMES[self.type_id]

    @property
    def reference(self) -> str:
        """Type/id."""
        return f"{self.type}/{self.id}"

    @property
    def place(self) -> str:
        """Where the body is kept: what it was sealed for."""
        return version_place(self.type, self.id, self.version)

    @property
    def deleted(self) -> bool:
        """Whether this version is a deletion."""
        return self.method == DELETE

    def attributes(self) -> RowAttributes:
        """What the policies see."""
        return RowAttributes(self.type, self.labels, self.patient, self.owner, self.insurer, self.id)


def version_place(type_: str, id_: str, version: int) -> str:
    """Name a stored version as the vault and the audit log do: "Claim/1/_history/3"."""
    return f"{type_}/{id_}/_history/{version}"


_COLUMNS = (
    "r.rid, r.type_id, r.fhir_id, v.version, v.updated, v.method, r.patient, r.owner, r.insurer, "
    "v.codec, v.dict_id, v.body, {labels}, r.version"
)
_JOIN = "resource r CROSS JOIN version v WHERE v.rid = r.rid"


@lru_cache(maxsize=256)
def _columns(dialect: str, *, with_version: bool) -> str:
    listed = "string_agg(l.label::text, ',')" if dialect == "postgresql" else "group_concat(l.label)"
    rows = "SELECT label FROM resource_label x WHERE x.rid = r.rid"
    if with_version:
        rows += " UNION SELECT label FROM version_label y WHERE y.rid = v.rid AND y.version = v.version"
    return _COLUMNS.format(labels=f"(SELECT {listed} FROM ({rows}) l)")


@lru_cache(maxsize=4096)
def _current_sql(dialect: str, condition: str) -> str:
    columns = _columns(dialect, with_version=False)
    return (
        f"SELECT {columns} FROM {_JOIN} AND v.version = r.version "
        f"AND r.type_id = ? AND r.fhir_id = ? AND ({condition.replace('{r}', 'r')})"
    )


def _row(found: Sequence[Any]) -> Row:
    labels = found[12]
    codes = frozenset(CODES[int(number)] for number in str(labels).split(",")) if labels else frozenset()
    return Row._make((*found[:11], bytes(found[11]), codes, found[13]))


def current(session: OneRow, type_: str, id_: str, row_filter: RowFilter) -> Row | None:
    """Find the current version of one resource."""
    sql = _current_sql(session.dialect, row_filter.sql)
    found = session.one(sql, (TYPE_IDS[type_], id_, *row_filter.params))
    return _row(found) if found else None


Current = Callable[[str, str], Row | None]
"""Finds the current version of any resource by type and id, for deciding on it: whether this reader may see it is asked of the policies."""


def one_by_one(session: OneRow) -> Current:
    """Look each resource up when it is asked for."""
    return lambda type_, id_: current(session, type_, id_, EVERYTHING)


def at_once(session: Session, references: Iterable[str]) -> Current:
    """Look many resources ("Type/id") up together; what is not among them is looked up when it is asked for."""
    wanted = frozenset(references)
    found = {row.reference: row for row in _by_references(session, wanted)}

    def known(type_: str, id_: str) -> Row | None:
        reference = f"{type_}/{id_}"
        return found.get(reference) if reference in wanted else current(session, type_, id_, EVERYTHING)

    return known


def _by_references(session: Session, references: Iterable[str]) -> Iterator[Row]:
    for marks, params in _wanted(references):
        sql = (
            f"WITH w (type_id, fhir_id) AS (VALUES {marks}) SELECT {_columns(session.dialect, with_version=False)} FROM w CROSS JOIN {_JOIN} "
            "AND v.version = r.version AND r.type_id = w.type_id AND r.fhir_id = w.fhir_id"
        )
        yield from map(_row, session.all(sql, params))


def _wanted(references: Iterable[str]) -> Iterator[tuple[str, list[object]]]:
    """Rows of type and id for a join, some at a time. A join, because SQLite walks the whole table for a row value in a list."""
    pairs = [(TYPE_IDS[type_], id_) for type_, _, id_ in (reference.partition("/") for reference in sorted(references)) if type_ in TYPE_IDS]
    for start in range(0, len(pairs), CHUNK // 2):
        part = pairs[start : start + CHUNK // 2]
        yield ", ".join(["(?, ?)"] * len(part)), [value for pair in part for value in pair]


def living(row: Row | None) -> Row:
    """Return a row that was looked for.

    Raises:
        NotFound: There is none for this reader.
        Gone: It says that the resource is deleted.
    """
    if row is None:
        raise NotFound
    if row.deleted:
        raise Gone
    return row


def at_version(session: Session, type_: str, id_: str, version: int, row_filter: RowFilter) -> Row | None:
    """Find one version; the filter may speak of the version as {v}."""
    condition = row_filter.sql.replace("{r}", "r").replace("{v}", "v")
    sql = (
        f"SELECT {_columns(session.dialect, with_version=True)} FROM {_JOIN} AND v.version = ? "
        f"AND r.type_id = ? AND r.fhir_id = ? AND ({condition})"
    )
    found = session.one(sql, (version, TYPE_IDS[type_], id_, *row_filter.params))
    return _row(found) if found else None


def by_rids(session: Session, rids: Sequence[int]) -> dict[int, Row]:
    """Fetch current rows that a filtered search has found."""
    found: dict[int, Row] = {}
    for start in range(0, len(rids), CHUNK):
        part = rids[start : start + CHUNK]
        sql = (
            f"SELECT {_columns(session.dialect, with_version=False)} FROM {_JOIN} AND v.version = r.version "
            f"AND r.rid IN ({', '.join('?' * len(part))})"
        )
        found.update((row.rid, row) for row in map(_row, session.all(sql, part)))
    return found


def types_in_use(session: Session) -> frozenset[str]:
    """List the types of which something was stored once."""
    numbers = ", ".join(f"({number})" for number in TYPE_NAMES)
    sql = f"WITH t(id) AS (VALUES {numbers}) SELECT t.id FROM t WHERE EXISTS (SELECT 1 FROM resource r WHERE r.type_id = t.id)"
    return frozenset(TYPE_NAMES[row[0]] for row in session.all(sql, ()))


def packed_bodies(session: Session, rids: Sequence[int]) -> list[tuple[int, tuple[int, int, bytes, str]]]:
    """Fetch rid, and codec, dictionary, body and place, of the current versions of rows that a filtered search has found."""
    sql = (
        f"SELECT r.rid, v.codec, v.dict_id, v.body, r.type_id, r.fhir_id, v.version FROM {_JOIN} AND v.version = r.version "
        f"AND r.rid IN ({', '.join('?' * len(rids))})"
    )
    return [
        (int(row[0]), (row[1], row[2], bytes(row[3]), version_place(TYPE_NAMES[row[4]], row[5], row[6])))
        for row in session.all(sql, rids)
    ]


def ids_of(session: Session, rids: Sequence[int]) -> list[tuple[int, str]]:
    """Fetch rid and public id of rows that a filtered search has found."""
    found = session.all(f"SELECT r.rid, r.fhir_id FROM resource r WHERE r.rid IN ({', '.join('?' * len(rids))})", rids)
    return [(int(row[0]), str(row[1])) for row in found]


def by_references(session: Session, type_: str, ids: Sequence[str], row_filter: RowFilter) -> list[int]:
    """Find the rids of living resources of one type by their ids."""
    rids: list[int] = []
    condition = row_filter.sql.replace("{r}", "r")
    for start in range(0, len(ids), CHUNK):
        part = ids[start : start + CHUNK]
        sql = (
            "SELECT r.rid FROM resource r WHERE r.type_id = ? AND r.deleted = 0 "
            f"AND r.fhir_id IN ({', '.join('?' * len(part))}) AND ({condition}) ORDER BY r.fhir_id"
        )
        rids += [int(row[0]) for row in session.all(sql, (TYPE_IDS[type_], *part, *row_filter.params))]
    return rids


def versions(session: Session, where: str, params: Sequence[object], limit: int, *, of_one: bool) -> list[Row]:
    """List versions, newest first; `where` speaks of r and v."""
    tables = "resource r CROSS JOIN version v" if of_one else "version v CROSS JOIN resource r"
    sql = (
        f"SELECT {_columns(session.dialect, with_version=True)} FROM {tables} WHERE v.rid = r.rid AND {where} "
        "ORDER BY v.updated DESC, v.rid DESC, v.version DESC LIMIT ?"
    )
    return [_row(row) for row in session.all(sql, (*params, limit))]


def count_versions(session: Session, where: str, params: Sequence[object]) -> int:
    """Count the versions of one resource; `where` speaks of r and v."""
    found = session.one(f"SELECT COUNT(*) FROM {_JOIN} AND {where}", params)
    return int(found[0]) if found else 0


def labels_of(session: Session, reference: str) -> frozenset[str]:
    """Labels of a stored resource by its reference; for the labelling service alone, which sees every row."""
    type_, _, rest = reference.partition("/")
    if type_ not in TYPE_IDS:
        return frozenset()
    found = session.all(
        "SELECT l.label FROM resource r CROSS JOIN resource_label l WHERE l.rid = r.rid AND r.type_id = ? AND r.fhir_id = ?",
        (TYPE_IDS[type_], rest.partition("/")[0]),
    )
    return frozenset(CODES[row[0]] for row in found)


def labels_by_reference(session: Session, references: Iterable[str]) -> dict[str, frozenset[str]]:
    """Labels of several stored resources ("Type/id") at once; those without any are absent."""
    found: dict[str, frozenset[str]] = {}
    for marks, params in _wanted(references):
        sql = (
            f"WITH w (type_id, fhir_id) AS (VALUES {marks}) SELECT r.type_id, r.fhir_id, l.label FROM w CROSS JOIN resource r "
            "CROSS JOIN resource_label l WHERE r.type_id = w.type_id AND r.fhir_id = w.fhir_id AND l.rid = r.rid"
        )
        for type_id, id_, label in session.all(sql, params):
            reference = f"{TYPE_NAMES[type_id]}/{id_}"
            found[reference] = found.get(reference, frozenset()) | {CODES[label]}
    return found
