"""The compiled row filter selects the same rows on SQLite and on PostgreSQL as Cedar decides one by one."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest

from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.grants import FOREVER, Grant
from chartloop.kernel.access.labels import LABELS
from chartloop.kernel.access.rows import RowAttributes
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.db import Database, open_database
from tests.properties.access.test_three_ways import Listed

TYPES = ("DocumentReference", "Claim", "Task", "Encounter", "Condition", "Practitioner")
TABLES = (
    "CREATE TABLE resource (rid BIGINT PRIMARY KEY, type_id SMALLINT NOT NULL, fhir_id TEXT NOT NULL, patient TEXT, owner TEXT, insurer TEXT)",
    ("CREATE TABLE access_grant (kind SMALLINT NOT NULL, patient TEXT NOT NULL, actor TEXT NOT NULL, session TEXT NOT NULL, client TEXT NOT NULL, "
    "purpose TEXT NOT NULL, label SMALLINT NOT NULL, type_id SMALLINT NOT NULL, target TEXT NOT NULL, starts BIGINT NOT NULL, ends BIGINT NOT NULL, "
    "source TEXT NOT NULL, node SMALLINT NOT NULL, parent SMALLINT NOT NULL)"),
    "CREATE TABLE resource_label (rid BIGINT NOT NULL, label SMALLINT NOT NULL)",
    "CREATE TABLE version_label (rid BIGINT NOT NULL, version INT NOT NULL, label SMALLINT NOT NULL)",
)


def _rows() -> list[RowAttributes]:
    chance = random.Random(7)
    references = ["", "Patient/1", "Patient/2", "Practitioner/1", "Organization/9"]
    labels = [frozenset[str](), frozenset({"PSY"}), frozenset({"PSYTHPN"}), frozenset({"HIV", "ETH"})]
    return [
        RowAttributes(type_, chosen, *(chance.choice(references) for _ in range(3)), id=f"i{number % 3}") for type_, chosen, number in itertools.product(TYPES, labels, range(8))
    ]


def _grants() -> list[Grant]:
    """Some of each kind; a few have ended, a few take back what another says."""
    chance = random.Random(11)
    return [
        Grant(
            kind, f"Patient/{chance.choice('12')}", chance.choice(["", "Practitioner/1", "Organization/9"]), chance.choice(["", "s1"]),
            purpose=chance.choice(["", "TREAT", "HPAYMT"]), label=chance.choice([0, 0, LABELS["PSY"]]), type=chance.choice(["", "Claim", "DocumentReference"]),
            target=chance.choice(["", "i1"]), ends=chance.choice([1, FOREVER, FOREVER]), source=f"Consent/{chance.choice('12')}", node=node, parent=chance.choice([0, 1]),
        )
        for kind, node in itertools.product(range(1, 8), range(1, 4))
    ]  # fmt: skip


GRANTS = _grants()
ACCESS = Access(None, grants=Listed(GRANTS))


@pytest.fixture
def bare(database_url: str) -> Iterator[Database]:
    opened = open_database(database_url)
    rows = list(enumerate(_rows()))

    def fill(tx):
        for statement in TABLES:
            tx.run(statement)
        tx.many(
            "INSERT INTO resource VALUES (?, ?, ?, ?, ?, ?)",
            [(rid, TYPES.index(row.type) + 1, row.id, row.patient or None, row.owner or None, row.insurer) for rid, row in rows],
        )
        stored = [(*grant[:7], TYPES.index(grant.type) + 1 if grant.type else 0, *grant[8:14]) for grant in GRANTS]
        tx.many(f"INSERT INTO access_grant VALUES ({', '.join('?' * 14)})", stored)
        tx.many("INSERT INTO resource_label VALUES (?, ?)", [(rid, LABELS[label]) for rid, row in rows for label in row.labels])

    opened.write(fill)
    yield opened
    opened.close()


@pytest.mark.conformance("Access", "the row filter and the decision of one row agree on SQLite and PostgreSQL")
def test_every_role_selects_what_cedar_decides(bare):
    rows = list(enumerate(_rows()))
    with bare.read() as session:
        for role, scopes in itertools.product(ACCESS.policies.roles, (("system/*.cruds",), ("patient/*.rs", "user/Task.rs"))):
            scope = Scope(Subject("x", role, "Practitioner/1" if role != "payer" else "Organization/9", "Patient/1", scopes, session="s1"), "search")
            for number, type_ in enumerate(TYPES, start=1):
                condition = ACCESS.row_filter(scope, type_)
                found = session.all(f"SELECT q.rid FROM resource q WHERE q.type_id = ? AND {condition.sql.format(r='q')}", (number, *condition.params))
                assert {rid for (rid,) in found} == {rid for rid, row in rows if row.type == type_ and ACCESS.decides(scope, row)}, (role, type_)


def test_a_label_of_the_version_hides_that_version_only(bare):
    scope = Scope(Subject("x", "clinician", "", "", ("user/*.rs",)), "vread")
    condition = ACCESS.row_filter(scope, "DocumentReference", version_labels=True)
    bare.write(lambda tx: tx.run("INSERT INTO version_label VALUES (0, 1, ?)", (LABELS["PSY"],)))
    sql = f"SELECT w.version FROM resource q JOIN (SELECT 0 AS rid, 1 AS version UNION ALL SELECT 0, 2) w ON w.rid = q.rid WHERE {condition.sql.format(r='q', v='w')}"
    with bare.read() as session:
        assert session.all(sql, condition.params) == [(2,)]
