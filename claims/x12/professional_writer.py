"""Write an 837P 005010X222A1: typed claims to bytes.

Spec: https://x12.org/products/technical-reports (005010X222A1)
"""

from collections.abc import Iterator

from claims.x12.money import decimal_to_text
from claims.x12.professional import Batch, Envelope, Party, ProfessionalClaim, ServiceLine, Subscription

VERSION = "005010X222A1"
Row = list[str]


def batch_to_interchange(batch: Batch, envelope: Envelope) -> bytes:
    """Return one interchange with one group and one transaction set."""
    body = list(batch_to_segments(batch))
    body.append(["SE", str(len(body) + 1), batch.control])
    control, group = f"{envelope.control:09}", str(envelope.group_control)
    rows = [_isa(envelope, control)]
    rows.append(["GS", "HC", envelope.sender, envelope.receiver, envelope.date, envelope.time, group, "X", VERSION])
    rows += body
    rows.append(["GE", "1", group])
    rows.append(["IEA", "1", control])
    return "".join("*".join(_trim(row)) + "~\n" for row in rows).encode("utf-8")


def _isa(envelope: Envelope, control: str) -> Row:
    return [
        "ISA", "00", " " * 10, "00", " " * 10, envelope.sender_qualifier, f"{envelope.sender:<15}", envelope.receiver_qualifier,
        f"{envelope.receiver:<15}", envelope.date[2:], envelope.time[:4], "^", "00501", control, "1", envelope.usage, ":",
    ]  # fmt: skip


def _trim(row: Row) -> Row:
    while row[-1] == "":
        row = row[:-1]
    return row


def _composite(*parts: str) -> str:
    return ":".join(parts).rstrip(":")


def batch_to_segments(batch: Batch) -> Iterator[Row]:
    """Return the segments ST to the one before SE, as rows of elements."""
    yield ["ST", "837", batch.control, VERSION]
    yield ["BHT", "0019", "00", batch.reference, batch.created, batch.time, "CH"]
    yield _name("41", batch.submitter)
    yield ["PER", "IC", batch.submitter.first if not batch.submitter.person else "", "TE", batch.submitter.phone]
    yield _name("40", batch.receiver)
    level, billing_level, previous = 0, 0, None
    for index, claim in enumerate(batch.claims):
        if claim.billing != previous or index == 0:
            level += 1
            billing_level, previous = level, claim.billing
            yield ["HL", str(level), "", "20", "1"]
            yield from _billing(claim.billing)
        level += 1
        patient = claim.insurance.patient
        yield ["HL", str(level), str(billing_level), "22", "1" if patient else "0"]
        yield from _subscriber(claim.insurance)
        if patient is not None:
            level += 1
            yield ["HL", str(level), str(level - 1), "23", "0"]
            yield ["PAT", claim.insurance.relationship]
            yield from _person("QC", patient)
        yield from _claim(claim)


def _name(entity: str, party: Party) -> Row:
    kind = "1" if party.person else "2"
    given = [party.first, party.middle] if party.person else ["", ""]
    return ["NM1", entity, kind, party.name, *given, "", "", party.id_type if party.id else "", party.id]


def _address(party: Party) -> Iterator[Row]:
    if party.street:
        yield ["N3", *party.street[:2]]
        yield ["N4", party.city, party.state, party.postcode]


def _billing(party: Party) -> Iterator[Row]:
    if party.taxonomy:
        yield ["PRV", "BI", "PXC", party.taxonomy]
    yield _name("85", party)
    yield from _address(party)
    yield ["REF", "SY" if party.person and party.id_type == "34" else "EI", party.tax_id]


def _subscriber(insurance: Subscription) -> Iterator[Row]:
    own = insurance.patient is None
    yield ["SBR", insurance.sequence, "18" if own else "", insurance.group, insurance.plan, "", "", "", "", insurance.filing]
    yield from _person("IL", insurance.subscriber)
    yield _name("PR", insurance.payer)
    yield from _address(insurance.payer)


def _person(entity: str, party: Party) -> Iterator[Row]:
    yield _name(entity, party)
    yield from _address(party)
    if party.birth:
        yield ["DMG", "D8", party.birth, party.gender]


def _claim(claim: ProfessionalClaim) -> Iterator[Row]:
    place = _composite(claim.place, "B", claim.frequency)
    yield [
        "CLM", claim.control, decimal_to_text(claim.total), "", "", place, claim.signature, claim.assignment, claim.benefits, claim.release,
        "", claim.accident.partition(":")[0],
    ]  # fmt: skip
    if claim.accident:
        yield ["DTP", "439", "D8", claim.accident.partition(":")[2]]
    if claim.admission:
        yield ["DTP", "435", "D8", claim.admission]
    if claim.authorization:
        yield ["REF", "G1", claim.authorization]
    if claim.payer_control:
        yield ["REF", "F8", claim.payer_control]
    codes = [_composite("ABK" if i == 0 else "ABF", code.replace(".", "")) for i, code in enumerate(claim.diagnoses[:12])]
    yield ["HI", *codes]
    if claim.referring:
        yield _name("DN", claim.referring)
    if claim.rendering:
        yield _name("82", claim.rendering)
        if claim.rendering.taxonomy:
            yield ["PRV", "PE", "PXC", claim.rendering.taxonomy]
    if claim.facility:
        yield _name("77", claim.facility)
        yield from _address(claim.facility)
    for number, line in enumerate(claim.lines, 1):
        yield from _line(number, line)


def _line(number: int, line: ServiceLine) -> Iterator[Row]:
    yield ["LX", str(number)]
    pointers = _composite(*(str(p) for p in line.pointers[:4]))
    code = _composite("HC", line.code, *line.modifiers[:4])
    yield ["SV1", code, decimal_to_text(line.charge), "UN", decimal_to_text(line.quantity), line.place, "", pointers]
    ranged = line.end and line.end != line.date
    yield ["DTP", "472", "RD8" if ranged else "D8", f"{line.date}-{line.end}" if ranged else line.date]
    if line.control:
        yield ["REF", "6R", line.control]
