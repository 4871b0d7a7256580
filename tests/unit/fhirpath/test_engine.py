"""The engine beside HL7's cases: positions of errors, bounds, types, references, what it does not know."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chartloop.kernel.clock import FakeClock, set_clock
from fhir_server.fhirpath import engine
from fhir_server.fhirpath.errors import Failed, FHIRPathError, Meaningless, TooCostly, Unanswerable, Unreadable
from fhir_server.fhirpath.functions import FUNCTIONS
from fhir_server.fhirpath.parts import resource_part
from fhir_server.fhirpath.quantity import Quantity
from fhir_server.fhirpath.run import World

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p1",
    "active": True,
    "contained": [{"resourceType": "Organization", "id": "o", "name": "Inside"}],
    "name": [{"family": "Ada", "given": ["A", "B"], "_given": [None, {"extension": [{"url": "urn:x", "valueCode": "y"}]}]}],
    "birthDate": "1990-02",
    "multipleBirthInteger": 2,
    "generalPractitioner": [{"reference": "Practitioner/1"}, {"reference": "Organization/2"}],
    "managingOrganization": {"reference": "#o"},
    "extension": [{"url": "urn:weight", "valueQuantity": {"value": Decimal("72.50"), "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"}}],
}


def found(expression: str, type_: str = "Patient") -> list[Any]:
    return engine.compile(expression, type_)(PATIENT)


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("multipleBirth", [2]),
        ("multipleBirth is integer", [True]),
        ("name.given.extension('urn:x').value", ["y"]),
        ("extension('urn:weight').value > 72 'kg'", [True]),
        ("extension('urn:weight').value.value", [Decimal("72.50")]),
        ("extension('urn:weight').value", [Quantity(Decimal("72.50"), "kg")]),
        ("generalPractitioner.where(resolve() is Practitioner).reference", ["Practitioner/1"]),
        ("managingOrganization.resolve().name", ["Inside"]),
        ("contained.name", ["Inside"]),
        ("Patient.name.family", ["Ada"]),
        ("Practitioner.name", []),
        ("birthDate < @1990-02-15", []),
        ("birthDate < @1990-03", [True]),
        ("%resource.id & '-' & %context.id", ["p1-p1"]),
        ("iif(active, 'yes', 'no')", ["yes"]),
        ("name.given.aggregate($total + $this.length(), 0)", [2]),
        ("descendants().ofType(code)", ["kg", "y"]),
        ("'ab'.replaceMatches('(?P<first>a)(b)', '$2${first}')", ["ba"]),
    ],
)
def test_paths_find_values(expression, values):
    assert engine.compile(expression)(PATIENT) == values


def test_complex_values_come_as_their_json_and_parts_with_their_types():
    assert found("name") == PATIENT["name"]
    parts = engine.compile("name | name.family", "Patient").parts(PATIENT)
    assert [part.type for part in parts] == ["HumanName", "string"]
    assert "Ada" not in repr(parts)


@pytest.mark.parametrize(
    ("expression", "error", "at"),
    [
        ("name.given[", Unreadable, 11), ("name.§", Unreadable, 5), ("'open", Unreadable, 0), ("@2020-13-01", Unreadable, 0), ("(1", Unreadable, 2), ("1 1", Unreadable, 2),
        ("name.nothing()", Meaningless, 5), ("name.first(1)", Meaningless, 5), ("name.ofType(Nothing)", Meaningless, 5), ("name.nme", Meaningless, 5),
        ("Observation.code", Meaningless, 0), ("name.where(faimly = 'x')", Meaningless, 11), ("name.given + 1", Failed, 11), ("name.given.single()", Failed, 11),
        ("active < 1", Failed, 7), ("name.given[0].matches('(?=a)')", None, None),
        ("maritalStatus.memberOf('urn:v') or name.memberOf('urn:v')", Unanswerable, 40), ("conformsTo('urn:profile')", Unanswerable, 0), ("%nobody", Unanswerable, 0),
    ],
)  # fmt: skip
def test_errors_say_where_they_are(expression, error, at):
    with pytest.raises(error or FHIRPathError) as raised:
        found(expression)
    assert raised.value.at == at
    assert at is None or f"at character {at + 1}" in str(raised.value)


@pytest.mark.timeout(60)
@pytest.mark.conformance("FHIR R4: faults and bad input", "FHIRPath: no expression takes unbounded time or memory, regular expressions run in linear time")
@pytest.mark.parametrize(
    "expression",
    [
        "(" * 5000 + "1" + ")" * 5000, "1" + "+1" * 5000, "-" * 5000 + "1", "a" + ".a" * 5000, "x" * 30_000, "1" * 5000,
        "(1|2|3|4).repeat($this | ($this + 1))",
        "'x'.aggregate($total)" + ".select($this & $this)" * 60,
        "'x'" + ".select($this & $this)" * 40,
        "10.power(9999999)", "2.power(0.5).power(999999999)", "'a'.replace('', 'xxxxxxxxxx')" + ".replace('', 'xxxxxxxxxx')" * 12,
        "%resource.descendants().select(%resource.descendants().select(%resource.descendants().select(%resource.descendants())))",
    ],
)  # fmt: skip
def test_no_expression_takes_unbounded_time(expression):
    with suppress(FHIRPathError):  # what it finds is of no interest here: that it ends is
        engine.compile(expression)(PATIENT)


def test_a_regular_expression_that_backtracks_elsewhere_takes_linear_time():
    text = {"resourceType": "Basic", "id": "a" * 200_000 + "!"}
    assert engine.compile("id.matches('^(a+)+$')")(text) == [False]
    assert engine.compile("id.matchesFull('(a|aa)+')")(text) == [False]


def test_the_steps_are_counted():
    with pytest.raises(TooCostly):
        engine.compile("descendants().count()")(PATIENT, World(max_steps=5))


def test_now_is_one_moment_of_the_kernels_clock():
    before = set_clock(FakeClock("2026-11-22T08:00:00Z"))
    try:
        assert [str(value) for value in found("now() | today() | timeOfDay()")] == ["2026-11-22T08:00:00.000Z", "2026-11-22", "08:00:00.000"]
    finally:
        set_clock(before)


def test_the_world_answers_what_the_resource_does_not_know():
    organization = {"resourceType": "Organization", "id": "2", "name": "Elsewhere"}
    world = World(
        resolve=lambda text, _run: resource_part(organization) if text == "Organization/2" else None,
        member_of=lambda part, url: part.value.get("family") == "Ada" if url == "urn:v" else None,
        variables={"limit": 2},
    )
    assert engine.compile("generalPractitioner.resolve().name")(PATIENT, world) == ["Elsewhere"]
    assert engine.compile("name.first().memberOf('urn:v')")(PATIENT, world) == [True]
    assert engine.compile("%limit + 1")(PATIENT, world) == [3]
    with pytest.raises(Unanswerable):
        engine.compile("name.first().memberOf('urn:w')")(PATIENT, world)


def test_published_expressions_are_read_as_they_were_meant():
    assert engine.compile("active is Boolean", published=True)(PATIENT) == [True]
    assert engine.compile("active is Boolean")(PATIENT) == [False]
    assert engine.compile("descendants().as(code)", published=True)(PATIENT) == ["kg", "y"]
    with pytest.raises(Failed):
        engine.compile("descendants().as(code)")(PATIENT)


WORDS = ["name", "given", "family", "active", "birthDate", "extension", "contained", "$this", "$index", "$total", "%resource", "%x", "1", "2.5", "'a'", "'['", "@2020", "@T10", "{}", "4 days"]
EXPRESSIONS = st.recursive(
    st.sampled_from([*WORDS, "true", "1 'kg'"]),
    lambda inner: (
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "&", "|", "=", "!=", "~", "!~", "<", ">", "<=", ">=", "and", "or", "xor", "implies", "in", "contains", "div", "mod"]), inner).map(" ".join)
        | st.tuples(inner, st.sampled_from([*sorted(FUNCTIONS), "sort", "ofType"]), st.lists(inner, max_size=2)).map(lambda drawn: f"({drawn[0]}).{drawn[1]}({', '.join(drawn[2])})")
        | inner.map(lambda text: f"-({text})")
        | st.tuples(inner, inner).map(lambda drawn: f"({drawn[0]})[{drawn[1]}]")
        | st.tuples(inner, st.sampled_from(["is Patient", "as string", "is System.Boolean"])).map(lambda drawn: f"({drawn[0]} {drawn[1]})")
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(EXPRESSIONS | st.text(alphabet="name.()[]'1@%$|&+-= ", max_size=30))
def test_only_its_own_errors_escape(expression):
    for type_ in ("", "Patient"):
        with suppress(FHIRPathError):
            engine.compile(expression, type_)(PATIENT)
