"""Read an 837P as a payer does: who sent it, what is wrong with its envelope, which claims it holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from chartloop.demo.payer.edi import Interchange, Segment

# IK502 / AK905: transaction set and group syntax errors, by their X12 code
WRONG_SET_CONTROL = "3"
WRONG_SEGMENT_COUNT = "4"
SET_NOT_CLOSED = "2"


@dataclass(slots=True)
class Line:
    number: str
    procedure: str
    charge: Decimal
    units: str
    date: str = ""


@dataclass(slots=True)
class Claim:
    pcn: str
    charge: Decimal
    patient: tuple[str, str] = ("", "")
    member: str = ""
    filing: str = ""
    frequency: str = "1"
    diagnoses: list[str] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)


@dataclass(slots=True)
class TransactionSet:
    control: str
    version: str
    batch: str = ""
    submitter: tuple[str, str] = ("", "")
    provider: tuple[str, str, str] = ("", "", "")  # name, NPI, tax id
    claims: list[Claim] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Group:
    control: str
    sender: str
    version: str
    sets: list[TransactionSet] = field(default_factory=list)


@dataclass(slots=True)
class Submission:
    sender: str
    receiver: str
    control: str
    date: str
    time: str
    usage: str
    acknowledge: bool
    envelope_error: str  # TA105, "" when the envelope holds
    groups: list[Group] = field(default_factory=list)


def read(interchange: Interchange) -> Submission:
    """Everything the payer needs of one interchange; never raises on what stands inside it."""
    isa, last = interchange.isa, interchange.segments[-1]
    groups = [segment for segment in interchange.segments if segment.tag == "GS"]
    if last.tag != "IEA":
        error = "023"  # improper end of file
    elif last.at(2) != isa.at(13):
        error = "001"  # control numbers of header and trailer differ
    elif last.at(1) != str(len(groups)):
        error = "021"  # wrong number of groups
    else:
        error = ""
    submission = Submission(isa.at(6).strip(), isa.at(8).strip(), isa.at(13), isa.at(9), isa.at(10), isa.at(15), isa.at(14) == "1", error)
    _read_groups(interchange, submission)
    return submission


def _read_groups(interchange: Interchange, submission: Submission) -> None:
    opened: list[Segment] = []
    for segment in interchange.segments:
        if segment.tag == "GS":
            submission.groups.append(Group(segment.at(6), segment.at(2), segment.at(8)))
        elif segment.tag == "ST":
            _close(opened, submission, interchange.component, whole=False)
            opened = [segment]
        elif segment.tag == "SE" and opened:
            _close([*opened, segment], submission, interchange.component, whole=True)
            opened = []
        elif opened:
            opened.append(segment)
    _close(opened, submission, interchange.component, whole=False)


def _close(segments: list[Segment], submission: Submission, component: str, *, whole: bool) -> None:
    if not segments or not submission.groups:
        return
    header, trailer = segments[0], segments[-1]
    read_set = TransactionSet(header.at(2), header.at(3))
    if not whole:
        read_set.errors.append(SET_NOT_CLOSED)
    elif trailer.at(1) != str(len(segments)):
        read_set.errors.append(WRONG_SEGMENT_COUNT)
    elif trailer.at(2) != header.at(2):
        read_set.errors.append(WRONG_SET_CONTROL)
    _read_claims(segments, read_set, component)
    submission.groups[-1].sets.append(read_set)


@dataclass(slots=True)
class _Walk:
    """Where the reader stands: the subscriber it last saw, and the open claim."""

    read_set: TransactionSet
    component: str
    person: tuple[str, str] = ("", "")
    member: str = ""
    filing: str = ""
    claim: Claim | None = None


def _read_claims(segments: list[Segment], read_set: TransactionSet, component: str) -> None:
    """Walk the loops in order; only the elements that a payer's front end uses."""
    walk = _Walk(read_set, component)
    for segment in segments:
        if segment.tag in {"HL", "CLM"}:
            _open_claim(walk, segment)
        elif walk.claim is None:
            _read_header(walk, segment)
        else:
            _read_detail(walk.claim, segment, component)


def _open_claim(walk: _Walk, segment: Segment) -> None:
    if segment.tag == "HL":
        walk.claim = None
        return
    frequency = segment.at(5).split(walk.component)[-1]
    walk.claim = Claim(segment.at(1), _amount(segment.at(2)), walk.person, walk.member, walk.filing, frequency)
    walk.read_set.claims.append(walk.claim)


def _read_header(walk: _Walk, segment: Segment) -> None:
    """Everything above a claim: batch, submitter, billing provider, subscriber, patient."""
    provider = walk.read_set.provider
    match segment.tag, segment.at(1):
        case "BHT", _:
            walk.read_set.batch = segment.at(3)
        case "NM1", "41":
            walk.read_set.submitter = (segment.at(3), segment.at(9))
        case "NM1", "85":
            walk.read_set.provider = (segment.at(3), segment.at(9), provider[2])
        case "REF", "EI":
            walk.read_set.provider = (*provider[:2], segment.at(2))
        case "SBR", _:
            walk.filing = segment.at(9)
        case "NM1", "IL":
            walk.person, walk.member = (segment.at(3), segment.at(4)), segment.at(9)
        case "NM1", "QC":
            walk.person = (segment.at(3), segment.at(4))
        case _:
            pass


def _read_detail(claim: Claim, segment: Segment, component: str) -> None:
    match segment.tag, segment.at(1):
        case "HI", _:
            claim.diagnoses += [element.split(component)[1] for element in segment.elements if component in element]
        case "LX", number:
            claim.lines.append(Line(number, "", Decimal(0), "1"))
        case "SV1", _ if claim.lines:
            _read_service(segment, claim.lines[-1])
        case "DTP", "472" if claim.lines:
            claim.lines[-1].date = segment.at(3)[:8]
        case "REF", "6R" if claim.lines:
            claim.lines[-1].number = segment.at(2)
        case _:
            pass


def _read_service(segment: Segment, line: Line) -> None:
    line.procedure, line.charge, line.units = segment.at(1), _amount(segment.at(2)), segment.at(4) or "1"


def _amount(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal(0)
