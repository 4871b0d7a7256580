"""Which faults an interchange is refused for, where each is found, and at which SNIP level."""

import pytest

from claims.x12.issue import ERROR, errors
from claims.x12.reader import Limits, read, write
from claims.x12.validation import validate
from tests.unit.claims.samples import ACKNOWLEDGMENT, CLAIM, CLAIM_STATUS, REMITTANCE, changed


@pytest.mark.parametrize("text", [CLAIM, REMITTANCE, ACKNOWLEDGMENT, CLAIM_STATUS], ids=["837P", "835", "TA1+999", "277CA"])
def test_a_good_interchange_has_no_finding(text):
    report = validate(text.encode(), codes=ERROR)
    assert report.issues == []
    assert write(report.reading) == text.encode()


FAULTS = [
    ("SE*24", "SE*25", 1, "SE", 26, 1),
    ("SE*24*0001", "SE*24*0002", 1, "SE", 26, 2),
    ("GE*1*1", "GE*2*1", 1, "GE", 27, 1),
    ("IEA*1*000000001", "IEA*1*000000002", 1, "IEA", 28, 2),
    ("CLM*ABCDEFGHJKLMNPQRS*145*", "CLM*ABCDEFGHJKLMNPQRS*14A*", 1, "CLM", 20, 2),
    ("DTP*472*D8*20261120", "DTP*472*D8*20260231", 1, "DTP", 24, 3),
    ("REF*6R*1", "REF*6R*1~\nZZZ*1", 1, "ZZZ", 26, 0),
    ("ZOE****MI", "ZOE" + "E" * 40 + "****MI", 1, "NM1", 15, 4),
    ("CLM*ABCDEFGHJKLMNPQRS", "CLM*", 2, "CLM", 20, 1),
    ("CLM*ABCDEFGHJKLMNPQRS", "CLM*ABCDEFGHJKLMNPQRSTUVWX", 2, "CLM", 20, 1),
    ("HI*ABK:J020~\n", "", 2, "HI", 25, 0),
    ("BHT*0019*00*0001*20261122*0800*CH~\n", "", 2, "BHT", 25, 0),
    ("SBR*P", "SBR*Z", 2, "SBR", 14, 1),
    ("NM1*85*2*CLINIC*****XX*1999999984", "NM1*85*2*CLINIC", 2, "NM1", 9, 9),
    ("*145***11", "*146***11", 3, "CLM", 20, 2),
    ("HL*2*1*22*0", "HL*2*1*22*1", 4, "HL", 13, 4),
    ("HL*2*1*22*0", "HL*2*9*22*0", 4, "HL", 13, 2),
    ("HL*2*1*22*0", "HL*5*1*22*0", 4, "HL", 13, 1),
    ("DMG*D8*19800203*F~\n", "", 4, "SBR", 14, 2),
    ("DMG*D8*19800203", "DMG*D8*20990203", 4, "DMG", 18, 2),
    ("SBR*P*18", "SBR*P*", 4, "SBR", 14, 2),
    ("11:B:1", "11:B:7", 4, "CLM", 20, 5),
    ("11:B:1", "21:B:1", 4, "CLM", 20, 5),
    ("UN*2***1", "UN*2***2", 4, "SV1", 23, 7),
    ("UN*2***1", "UN*2", 4, "SV1", 23, 7),
    ("1999999984", "1999999980", 5, "NM1", 9, 9),
    ("ABK:J020", "ABK:J02.0", 5, "HI", 21, 1),
    ("N4*BOSTON*MA*02115~", "N4*BOSTON*ZZ*02115~", 5, "N4", 17, 2),
]


@pytest.mark.conformance("X12", "SNIP levels 1 to 5: each fault of an 837P is found at its segment and element")
@pytest.mark.parametrize(("old", "new", "snip", "segment", "number", "element"), FAULTS)
def test_a_fault_is_found_at_its_place(old, new, snip, segment, number, element):
    found = errors(validate(changed(CLAIM, old, new), codes=ERROR).issues)
    places = [(i.snip, i.segment, i.at.segment, i.at.element) for i in found]
    assert (snip, segment, number, element) in places, places


@pytest.mark.conformance("X12", "835: a payment that does not balance is found")
@pytest.mark.parametrize(
    ("old", "new", "segment"),
    [("BPR*I*90", "BPR*I*91", "BPR"), ("*145*100*20*12", "*145*99*20*12", "CLP"), ("CAS*CO*45*25", "CAS*CO*45*24", "SVC"), ("WO:X1*10", "WO:X1*11", "BPR")],
)
def test_a_payment_that_does_not_balance_is_found(old, new, segment):
    found = errors(validate(changed(REMITTANCE, old, new)).issues)
    assert segment in [i.segment for i in found if i.snip == 3]


@pytest.mark.conformance("Attacks", "93: X12 with a wrong ISA, wrong delimiters or a cut end is a clear error")
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "no-isa"),
        (b"   \r\n", "no-isa"),
        (b"hello", "no-isa"),
        (CLAIM[:90].encode(), "isa-truncated"),
        (CLAIM.replace("ISA*00*  ", "ISA*00*", 1).encode(), "isa-malformed"),
        (CLAIM.replace("*T*:~", "*T**~", 1).encode(), "isa-malformed"),
        (CLAIM.replace("*T*:~", "*T*A~", 1).encode(), "bad-delimiters"),
        (CLAIM[:300].encode(), "no-iea"),
        (CLAIM.encode()[:-2], "unterminated"),
    ],
)
def test_a_broken_envelope_is_a_clear_error_and_loses_no_byte(data, code):
    report = validate(data)
    assert code in [i.code for i in errors(report.issues)]
    assert write(report.reading) == data


@pytest.mark.conformance("X12", "reading is bounded in bytes, segments and length of a segment")
def test_reading_is_bounded():
    small = Limits(bytes=100)
    assert [i.code for i in read(CLAIM.encode(), small).issues] == ["too-large"]
    few = read(CLAIM.encode(), Limits(segments=5))
    assert [i.code for i in few.issues] == ["too-many-segments"]
    assert write(few) == CLAIM.encode()
    endless = CLAIM.replace("J020~", "J020" + "X" * 200_000).encode()
    assert "segment-too-long" in [i.code for i in read(endless).issues]


@pytest.mark.conformance("X12", "an interchange uses the delimiters of its own ISA")
def test_an_interchange_uses_the_delimiters_of_its_own_isa():
    other = CLAIM.replace("*", "|").replace(":", ">").replace("~\n", "\n")
    report = validate(other.encode(), codes=ERROR)
    assert report.issues == []
    assert write(report.reading) == other.encode()


def test_two_interchanges_with_different_delimiters_may_share_a_file():
    other = CLAIM.replace("*", "|").replace(":", ">")
    both = (CLAIM + other).encode()
    report = validate(both, codes=ERROR)
    assert report.issues == []
    assert [i.control for i in report.interchanges] == ["000000001", "000000001"]
    assert write(report.reading) == both


def test_composites_written_with_another_separator_are_read_with_a_warning():
    odd = CLAIM.replace("11:B:1", "11>B>1").replace("ABK:J020", "ABK>J020").replace("HC:G0463:25", "HC>G0463>25")
    report = validate(odd.encode(), codes=ERROR)
    assert [(i.severity, i.code) for i in report.issues] == [("warning", "separator")]


def test_an_unknown_guide_is_said_to_be_unknown():
    report = validate(CLAIM.replace("005010X222A1", "005010X223A2").encode())
    assert [i.code for i in errors(report.issues)] == ["unknown-guide"]


def test_a_transaction_set_without_envelope_is_read_with_a_warning():
    bare = "".join(line + "\n" for line in ACKNOWLEDGMENT.splitlines()[3:12])
    report = validate(bare.encode())
    assert [(i.severity, i.code) for i in report.issues] == [("warning", "no-isa")]
    assert report.sets[0].kind == "999"


@pytest.mark.conformance("X12", "no finding quotes a value")
def test_no_finding_quotes_a_value():
    report = validate(changed(CLAIM, "MULLER*ZOE", "MULLER\x01*ZOE"))
    assert report.issues
    assert all("MULLER" not in str(issue) for issue in report.issues)
