"""The algebra of scopes: more letters, fewer parameters, version 1 or 2: never a row more than is said."""

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.granular import enforceable
from chartloop.kernel.access.rows import RowAttributes
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.smart_scopes import covers, narrow, parse, parse_all
from chartloop.kernel.access.subject import Subject
from tests.properties.access.test_three_ways import GRANT_TABLE

PARAMS = {"category": 1, "code": 2}
VALUES = {"lab": 10, "vital": 11, "social": 12}


def marker(type_, query):
    """A small store: two parameters, three codes."""
    if type_ not in {"Observation", "Condition"}:
        return None
    groups = []
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        codes = value.split(",")
        if name not in PARAMS or not set(codes) <= VALUES.keys():
            return None
        groups.append(frozenset(f"{PARAMS[name]}:{VALUES[code]}" for code in codes))
    return tuple(groups)


ACCESS = Access(None, marker)
queries = st.sampled_from(["", "category=lab", "category=vital", "category=lab,vital", "code=social", "category=lab&code=social", "date=gt2020", "category=unknown"])
letters = st.sets(st.sampled_from("cruds"), min_size=1).map(lambda chosen: "".join(letter for letter in "cruds" if letter in chosen))
scopes = st.builds(
    lambda context, type_, rights, query: f"{context}/{type_}.{rights}{'?' if query else ''}{query}",
    st.sampled_from(["patient", "user", "system"]), st.sampled_from(["*", "Observation", "Condition", "Patient"]), letters, queries,
)  # fmt: skip
rows = st.builds(
    RowAttributes,
    type=st.sampled_from(["Observation", "Condition", "Patient"]),
    labels=st.just(frozenset()),
    patient=st.sampled_from(["Patient/1", "Patient/2"]),
    owner=st.just(""),
    insurer=st.just(""),
    marks=st.sets(st.sampled_from(["1:10", "1:11", "2:12"])).map(frozenset),
)


def clinician(granted):
    """Somebody who may see every row of these types, under some scopes; without a person, no relation is asked for."""
    return Subject("user:1", "clinician", "", "Patient/1", tuple(map(str, parse_all(granted))))


def said(text, row, letter):
    """Whether one scope opens a row for a letter, in plain Python."""
    scope = parse(text)
    if scope is None or scope.type not in {"*", row.type} or letter not in scope.letters or (scope.context == "patient" and row.patient != "Patient/1"):
        return False
    if not scope.query:
        return True
    groups = marker(row.type, scope.query)
    return groups is not None and all(group & row.marks for group in groups)


@pytest.mark.conformance("SMART 2.2.0", "370: a granular scope opens the rows that hold a code of each parameter")
@settings(max_examples=150, deadline=None)
@given(st.lists(scopes, max_size=3), rows, st.sampled_from(["read", "search", "vread", "history"]))
def test_a_row_is_open_exactly_when_some_scope_says_so(granted, row, action):
    needed = {"read": "r", "vread": "r", "search": "s", "history": "rs"}[action]
    expected = all(any(said(text, row, letter) for text in granted) for letter in needed)
    assert ACCESS.decides(Scope(clinician(granted), action), row) == expected


@settings(max_examples=80, deadline=None)
@given(st.lists(scopes, max_size=3), st.lists(rows, min_size=1, max_size=8), st.sampled_from(["read", "search"]))
def test_the_row_filter_decides_as_the_decision_does(granted, some, action):
    db = sqlite3.connect(":memory:")
    db.executescript(
        f"{GRANT_TABLE}; create table resource (rid, rank, version, patient, owner, insurer, type, type_id, fhir_id); create table idx_token (param, value, rank, rid); create table resource_label (rid, label); create table vocabulary (param, kind, word, value);"
    )
    for rid, row in enumerate(some):
        db.execute("insert into resource values (?, 7, 1, ?, '', '', ?, 1, '')", (rid, row.patient, row.type))
        db.executemany("insert into idx_token values (?, ?, 7, ?)", [(*map(int, mark.split(":")), rid) for mark in row.marks])
    scope = Scope(clinician(granted), action)
    for type_ in {row.type for row in some}:
        for version, versioned in ((1, True), (1, False), (2, True)):
            condition = ACCESS.row_filter(scope, type_, version_labels=versioned)
            sql = condition.sql.replace("{r}", "r").replace("{v}", "v").replace("version_label y", "resource_label y").replace("version_label x", "resource_label x").replace("AND x.version = v.version", "").replace("AND y.version = v.version", "")
            found = {rid for (rid,) in db.execute(f"select r.rid from resource r join (select {version} as version, rid from resource) v on v.rid = r.rid where r.type = ? and {sql}", (type_, *condition.params))}
            expected = {rid for rid, row in enumerate(some) if row.type == type_ and ACCESS.decides(scope, row)}
            assert found <= expected
            assert version == 2 or found == expected
    db.close()


@pytest.mark.conformance("Attacks", "99: scopes never widen")
@settings(max_examples=150, deadline=None)
@given(st.lists(scopes, max_size=3), st.lists(scopes, max_size=3), rows, st.sampled_from(["read", "search"]))
def test_narrowing_by_a_registration_opens_no_row_more(requested, registered, row, action):
    granted = narrow(requested, registered)
    if ACCESS.decides(Scope(clinician(granted), action), row):
        assert ACCESS.decides(Scope(clinician(requested), action), row)
        assert ACCESS.decides(Scope(clinician(registered), action), row)


@settings(max_examples=100, deadline=None)
@given(scopes, scopes, rows, st.sampled_from(["read", "search"]))
def test_what_a_wide_scope_covers_opens_no_row_that_it_does_not(first, second, row, action):
    if covers(parse(first), parse(second)) and ACCESS.decides(Scope(clinician([second]), action), row):
        assert ACCESS.decides(Scope(clinician([first]), action), row)


@pytest.mark.conformance("SMART 2.2.0", "369: version 1 scopes are their version 2 equivalents")
@settings(max_examples=60, deadline=None)
@given(st.sampled_from([("read", "rs"), ("write", "cud"), ("*", "cruds")]), rows, st.sampled_from(["read", "search", "create", "update", "delete"]))
def test_version_1_is_its_version_2_equivalent(pair, row, action):
    first, second = (Scope(clinician([f"patient/{row.type}.{rights}"]), action) for rights in pair)
    assert ACCESS.decides(first, row) == ACCESS.decides(second, row)
    assert ACCESS.row_filter(first, row.type, now=1) == ACCESS.row_filter(second, row.type, now=1)


@settings(max_examples=100, deadline=None)
@given(scopes)
def test_what_is_enforceable_is_plain_or_reads_one_type_by_known_parameters(text):
    scope = parse(text)
    if enforceable(text, marker) and scope.query:
        assert scope.type != "*"
        assert set(scope.letters) <= {"r", "s"}
        assert marker(scope.type, scope.query)
