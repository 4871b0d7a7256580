"""Types and lengths of the elements of each segment, version 005010: facts only.

One line per segment: `type min-max` per element; parentheses hold a composite; `-` is not checked; `^` after an item repeats it.
Spec: https://x12.org/products/technical-reports (ASC X12 data element dictionary)
"""

import re
from typing import NamedTuple


class ElementFact(NamedTuple):
    """Type and length of one element, or of the components of a composite."""

    type: str
    low: int = 0
    high: int = 10**6
    components: tuple["ElementFact", ...] = ()


FACTS = """
ST ID3 AN4-9 AN1-35
SE N01-10 AN4-9
BHT ID4 ID2 AN1-50 DT8 TM4-8 ID2
HL AN1-12 AN1-12 ID1-2 ID1
NM1 ID2-3 ID1 AN1-60 AN1-35 AN1-25 AN1-10 AN1-10 ID1-2 AN2-80 ID2 ID2-3 AN1-60
N1 ID2-3 AN1-60 ID1-2 AN2-80 ID2 ID2-3
N2 AN1-60 AN1-60
N3 AN1-55 AN1-55
N4 AN2-30 ID2 ID3-15 ID2-3 ID1-2 AN1-30 ID1-3
PER ID2 AN1-60 ID2 AN1-256 ID2 AN1-256 ID2 AN1-256 AN1-20
PRV ID1-3 ID2-3 AN1-50 ID2 - ID3
REF ID2-3 AN1-50 AN1-80 (ID2-3,AN1-50,ID2-3,AN1-50,ID2-3,AN1-50)
CUR ID2-3 ID3 R4-10
SBR ID1 ID2 AN1-50 AN1-60 ID1-3 ID1 ID1 ID2 ID1-2
PAT ID2 ID1 ID2 ID1 ID2-3 AN1-35 ID2 R1-10 ID1
DMG ID2-3 AN1-35 ID1
DTP ID3 ID2-3 AN1-35
DTM ID3 DT8 TM4-8 ID2 ID2-3 AN1-35
CLM AN1-38 R1-18 ID1-2 ID1-2 (AN1-2,ID1-2,ID1) ID1 ID1 ID1 ID1 ID1 (ID2-3,ID2-3,ID2-3,ID2,ID2-3) ID2-3 ID1 ID1-3 ID1 ID1 ID1 ID1 ID2 ID1-2
PWK ID2 ID1-2 N01-2 ID2-3 ID1-2 AN2-80 AN1-80
CN1 ID2 R1-18 R1-6 AN1-50 R1-6 AN1-30
AMT ID1-3 R1-18 ID1
K3 AN1-80 ID1-2
NTE ID3 AN1-80
CR1 ID2 R1-10 ID1 ID1 ID2 R1-15 AN1-55 AN1-55 AN1-80 AN1-80
CR2 N01-9 R1-15 ID2-3 ID2-3 ID2 R1-15 R1-15 ID1 ID1 AN1-80 AN1-80 ID1
CR3 ID1 ID2 R1-15 ID1-2 AN1-80
CRC ID2 ID1 ID2-3 ID2-3 ID2-3 ID2-3 ID2-3
HI (ID1-3,AN1-30,ID2-3,AN1-35,R1-18,R1-15,AN1-30,AN1-30,ID1)^12
HCP ID2 R1-18 R1-18 AN1-50 R1-9 AN1-50 R1-18 AN1-48 ID2 AN1-48 ID2 R1-15 ID2 ID1-2 ID1-2
CAS ID1-2 ID1-5 R1-18 R1-15 ID1-5 R1-18 R1-15 ID1-5 R1-18 R1-15 ID1-5 R1-18 R1-15 ID1-5 R1-18 R1-15 ID1-5 R1-18 R1-15
OI ID1-2 ID2 ID1 ID1 ID1 ID1
MOA R1-10 R1-18 AN1-50 AN1-50 AN1-50 AN1-50 AN1-50 R1-18 R1-18
MIA R1-15 R1-15 R1-15 R1-18 AN1-50 R1-18 R1-18 R1-18 R1-18 R1-18 R1-18 R1-18 R1-18 R1-18 R1-15 R1-18 R1-18 R1-18 R1-18 AN1-50 AN1-50 AN1-50 AN1-50 R1-18
LX N01-6
SV1 (ID2,AN1-48,AN2,AN2,AN2,AN2,AN1-80,AN1-48) R1-18 ID2 R1-15 AN1-2 ID1-2 (N01-2,N01-2,N01-2,N01-2) R1-18 ID1 ID1 ID1-2 ID1 ID1 ID1-2 ID1
SV5 (ID2,AN1-48,AN2,AN2,AN2,AN2,AN1-80) ID2 R1-15 R1-18 R1-18 ID1
MEA ID2 ID1-3 R1-20
QTY ID2 R1-15
PS1 AN1-50 R1-18 ID2
LIN AN1-20 ID2 AN1-48
CTP ID2 ID3 R1-17 R1-15 (ID2)
SVD AN2-80 R1-18 (ID2,AN1-48,AN2,AN2,AN2,AN2,AN1-80) AN1-48 R1-15 N01-6
LQ ID1-3 AN1-30
FRM AN1-20 ID1 AN1-50 DT8 R1-6
BPR ID1-2 R1-18 ID1 ID3 ID1-10 ID2 AN3-12 ID1-3 AN1-35 AN10 AN9 ID2 AN3-12 ID1-3 AN1-35 DT8
TRN ID1-2 AN1-50 AN10 AN1-50
RDM ID1-2 AN1-60 AN1-256
TS3 AN1-50 AN1-2 DT8 R1-15 R1-18
TS2 R1-18 R1-18 R1-18
CLP AN1-38 ID1-2 R1-18 R1-18 R1-18 ID1-2 AN1-50 AN1-2 ID1 ID1-2 AN1-4 R1-15 R1-10
SVC (ID2,AN1-48,AN2,AN2,AN2,AN2,AN1-80) R1-18 R1-18 AN1-48 R1-15 (ID2,AN1-48,AN2,AN2,AN2,AN2,AN1-80) R1-15
PLB AN1-50 DT8 (ID2,AN1-50) R1-18 (ID2,AN1-50) R1-18 (ID2,AN1-50) R1-18 (ID2,AN1-50) R1-18 (ID2,AN1-50) R1-18 (ID2,AN1-50) R1-18
AK1 ID2 N01-9 AN1-12
AK2 ID3 AN4-9 AN1-35
IK3 ID2-3 N01-10 AN1-4 ID1-3
CTX (AN1-35,AN1-35) ID2-3 N01-10 AN1-6 - -
IK4 (N01-2,N01-2,N01-2) N01-4 ID1-3 AN1-99
IK5 ID1 ID1-3 ID1-3 ID1-3 ID1-3 ID1-3
AK9 ID1 N01-6 N01-6 N01-6 ID1-3 ID1-3 ID1-3 ID1-3 ID1-3
STC (AN1-30,AN1-30,ID2-3,ID1-3) DT8 ID1-2 R1-18 R1-18 DT8 ID3 DT8 AN1-16 (AN1-30,AN1-30,ID2-3,ID1-3) (AN1-30,AN1-30,ID2-3,ID1-3) AN1-264
"""

_ITEM = re.compile(r"(ID|AN|DT|TM|N0|R)(\d+)(?:-(\d+))?")


def _item(text: str) -> ElementFact:
    if text == "-":
        return ElementFact("")
    if text.startswith("("):
        return ElementFact("C", components=tuple(_item(part) for part in text[1:-1].split(",")))
    found = _ITEM.fullmatch(text)
    if found is None:
        raise ValueError(text)
    kind, low, high = found.groups()
    return ElementFact(kind, int(low), int(high or low))


def _segment(line: str) -> tuple[str, tuple[ElementFact, ...]]:
    name, *items = line.split()
    facts: list[ElementFact] = []
    for item in items:
        body, _, times = item.partition("^")
        facts += [_item(body)] * int(times or 1)
    return name, tuple(facts)


SEGMENTS: dict[str, tuple[ElementFact, ...]] = dict(_segment(line) for line in FACTS.strip().splitlines())
