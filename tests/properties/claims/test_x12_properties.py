"""What holds for every claim and for every sequence of bytes."""

import string
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claims.x12.issue import ERROR
from claims.x12.professional import Batch, Envelope, Party, ProfessionalClaim, ServiceLine, Subscription
from claims.x12.professional_reader import loop_to_batch
from claims.x12.professional_writer import batch_to_interchange
from claims.x12.reader import read, write
from claims.x12.validation import validate
from tests.unit.claims.samples import ACKNOWLEDGMENT, CLAIM, CLAIM_STATUS, REMITTANCE

NAME = st.text(string.ascii_uppercase + string.digits + "'-&", min_size=2, max_size=20)
DAY = st.dates(min_value=__import__("datetime").date(1930, 1, 1), max_value=__import__("datetime").date(2026, 11, 1)).map(lambda d: d.strftime("%Y%m%d"))
MONEY = st.integers(0, 10_000_000).map(lambda cents: Decimal(cents) / 100)
STREET = {"street": ("1 MAIN ST",), "city": "BOSTON", "state": "MA", "postcode": "021150001"}
NPI = st.sampled_from(["1234567893", "1999999984", "1003000126"])
BILLING = st.builds(lambda name, npi, tin: Party(name, id_type="XX", id=npi, tax_id=tin, **STREET), NAME, NPI, st.text(string.digits, min_size=9, max_size=9))
PERSON = st.builds(
    lambda name, first, birth, gender, member: Party(name, first, person=True, id_type="MI", id=member, birth=birth, gender=gender, **STREET),
    NAME, NAME, DAY, st.sampled_from("FMU"), NAME,
)
PATIENT = st.builds(lambda name, first, birth: Party(name, first, person=True, birth=birth, gender="F", **STREET), NAME, NAME, DAY)
CODE = st.builds(lambda a, b, c: f"{a}{b:02}{c}", st.sampled_from(string.ascii_uppercase), st.integers(0, 99), st.sampled_from(["", "0", "1X", "123A"]))


@st.composite
def claims(draw, number=0):
    diagnoses = tuple(draw(st.lists(CODE, min_size=1, max_size=12, unique=True)))
    lines = tuple(
        ServiceLine(
            draw(st.sampled_from(["G0463", "99213", "J1885"])), draw(MONEY), Decimal(draw(st.integers(1, 99))), draw(DAY),
            tuple(draw(st.lists(st.integers(1, len(diagnoses)), min_size=1, max_size=4, unique=True))), str(n),
            tuple(draw(st.lists(st.sampled_from(["25", "59", "GT"]), max_size=4, unique=True))),
            place=draw(st.sampled_from(["", "12"])),
        )
        for n in range(1, draw(st.integers(1, 5)) + 1)
    )
    patient = draw(st.none() | PATIENT)
    insurance = Subscription(
        draw(PERSON), Party(draw(NAME), id_type="PI", id=draw(NAME)), group=draw(st.sampled_from(["", "G1"])),
        relationship="18" if patient is None else draw(st.sampled_from(["01", "19", "G8"])), patient=patient,
    )
    rendering = draw(st.none() | st.builds(lambda n, f: Party(n, f, person=True, id_type="XX", id="1234567893", taxonomy="207Q00000X"), NAME, NAME))
    replaces = draw(st.booleans())
    return ProfessionalClaim(
        f"PCN{number:014}", sum((line.charge for line in lines), Decimal(0)), "11", diagnoses, lines, draw(BILLING), insurance,
        rendering=rendering, frequency="7" if replaces else "1", payer_control="ICN1" if replaces else "",
    )


@st.composite
def batches(draw):
    found = tuple(draw(claims(number)) for number in range(draw(st.integers(1, 3))))
    return Batch(Party("CHARTLOOP", first="OFFICE", id_type="46", id="CHARTLOOP", phone="5555550100"), Party("PAYER", id_type="46", id="P1"), "1", "20261122", "0800", found)


@pytest.mark.conformance("X12", "any claim that is written is valid and reads back the same")
@given(batches())
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_valid_and_reads_back_the_same(batch):
    data = batch_to_interchange(batch, Envelope("CHARTLOOP", "P1", 7, 8, "20261122", "0800"))
    report = validate(data, codes=ERROR)
    assert [str(i) for i in report.issues] == []
    assert loop_to_batch(report.sets[0].root) == batch
    assert write(report.reading) == data


SAMPLES = [text.encode() for text in (CLAIM, REMITTANCE, ACKNOWLEDGMENT, CLAIM_STATUS)]


@pytest.mark.conformance("X12", "no mutation of bytes raises or loses a byte")
@given(st.sampled_from(SAMPLES), st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), min_size=1, max_size=6), st.booleans())
@settings(max_examples=300, deadline=None)
def test_no_mutation_of_bytes_raises_or_loses_a_byte(sample, changes, cut):
    data = bytearray(sample)
    for at, value in changes:
        data[at % len(data)] = value
    mutated = bytes(data[: changes[0][0] % len(data)] if cut else data)
    assert write(read(mutated)) == mutated
    report = validate(mutated)
    for read_set in report.sets:
        if read_set.kind == "837P":
            loop_to_batch(read_set.root)


@pytest.mark.conformance("Attacks", "93: any bytes are read as X12 without an exception")
@given(st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_without_an_exception(data):
    assert write(read(data)) == data
    validate(data)
    validate(b"ISA*00*          *00*          *ZZ*A              *ZZ*B              *261122*0800*^*00501*000000001*0*T*:~" + data)
