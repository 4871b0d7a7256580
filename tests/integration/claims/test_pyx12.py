"""pyx12 accepts what we write."""

import datetime as dt
from decimal import Decimal

import pytest

from claims.x12.professional import Batch, Envelope, Party, ProfessionalClaim, ServiceLine, Subscription
from claims.x12.professional_writer import batch_to_interchange
from claims.x12.validation import validate
from tests.integration.claims.pyx12_oracle import pyx12_errors
from tests.unit.claims.samples import CLAIM

STREET = {"street": ("1 MAIN ST",), "city": "BOSTON", "state": "MA", "postcode": "021150001"}
BILLING = Party("CLINIC", id_type="XX", id="1999999984", tax_id="123456789", taxonomy="207Q00000X", **STREET)
SUBSCRIBER = Party("MULLER", "ZOE", person=True, id_type="MI", id="M123", birth="19800203", gender="F", **STREET)
CHILD = Party("MULLER", "KIM", person=True, birth="20180203", gender="U", **STREET)
DOCTOR = Party("DOE", "JO", person=True, id_type="XX", id="1234567893", taxonomy="207Q00000X")
PAYER = Party("PAYER ONE", id_type="PI", id="P1")
TODAY = dt.date(2026, 11, 20).strftime("%Y%m%d")


def line(number, charge="72.5", **more):
    return ServiceLine("G0463", Decimal(charge), Decimal(1), TODAY, (1,), str(number), **more)


def claim(control, patient=None, **more):
    lines = more.pop("lines", (line(1), line(2, modifiers=("25", "59"), end="20261121")))
    insurance = Subscription(SUBSCRIBER, PAYER, patient=patient, relationship="19" if patient else "18", group="G1")
    return ProfessionalClaim(control, sum(x.charge for x in lines), "11", ("J020", "F321"), lines, BILLING, insurance, **more)


CASES = {
    "own insurance": (claim("A1"),),
    "a child": (claim("A1", CHILD),),
    "rendering provider": (claim("A1", rendering=DOCTOR),),
    "replacement": (claim("A1", frequency="7", payer_control="ICN1"),),
    "authorization": (claim("A1", authorization="AUTH1"),),
    "two patients": (claim("A1"), claim("A2", CHILD)),
    "cents only": (claim("A1", lines=(line(1, ".5"),)),),
    "nothing charged": (claim("A1", lines=(line(1, "0"),)),),
    "inpatient": (claim("A1", admission="20261119"),),
}


@pytest.mark.conformance("X12", "pyx12 accepts every form of 837P that is written: own insurance, dependant, rendering, replacement, inpatient")
@pytest.mark.parametrize("claims", CASES.values(), ids=CASES.keys())
def test_pyx12_accepts_what_is_written(claims):
    batch = Batch(Party("CHARTLOOP", first="OFFICE", id_type="46", id="CHARTLOOP", phone="5555550100"), Party("PAYER", id_type="46", id="P1"), "1", "20261122", "0800", claims)
    data = batch_to_interchange(batch, Envelope("CHARTLOOP", "P1", 1, 1, "20261122", "0800"))
    assert validate(data).valid
    assert pyx12_errors(data) == ""


@pytest.mark.conformance("X12", "pyx12 refuses an altered SE01, so its acceptance says something")
def test_the_oracle_does_refuse_what_is_wrong():
    assert pyx12_errors(CLAIM.replace("SE*24", "SE*25").encode())
