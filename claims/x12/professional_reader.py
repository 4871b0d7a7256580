"""Read an 837P: a tree of loops to typed claims.

Spec: https://x12.org/products/technical-reports (005010X222A1)
"""

from claims.x12.money import text_to_decimal
from claims.x12.professional import Batch, Party, ProfessionalClaim, ServiceLine, Subscription
from claims.x12.segment import Segment
from claims.x12.walker import Loop


def loop_to_batch(root: Loop) -> Batch:
    """Read one transaction set."""
    claims = []
    for billing in root.inner("2000A"):
        provider = _loop_party(billing, "2010AA", taxonomy=billing.value("PRV", 3, "BI"))
        for level in billing.inner("2000B"):
            claims += [_claim(loop, provider, _insurance(level, None)) for loop in level.inner("2300")]
            for patient in level.inner("2000C"):
                claims += [_claim(loop, provider, _insurance(level, patient)) for loop in patient.inner("2300")]
    submitter = root.inner("1000A")
    contact = submitter[0].first("PER") if submitter else None
    return Batch(
        submitter=_loop_party(root, "1000A", contact=contact),
        receiver=_loop_party(root, "1000B"),
        reference=root.value("BHT", 3),
        created=root.value("BHT", 4),
        time=root.value("BHT", 5),
        claims=tuple(claims),
        control=root.value("ST", 2),
    )


def _loop_party(parent: Loop, loop_id: str, *, taxonomy: str = "", contact: Segment | None = None) -> Party:
    found = parent.inner(loop_id)
    return _party(found[0], taxonomy=taxonomy, contact=contact) if found else Party("")


def _party(loop: Loop, *, taxonomy: str = "", contact: Segment | None = None) -> Party:
    name, street, city, birth = (loop.first(s) for s in ("NM1", "N3", "N4", "DMG"))
    if name is None:
        return Party("")
    person = name.get(2) == "1"
    return Party(
        name=name.get(3),
        first=name.get(4) or (contact.get(2) if contact and not person else ""),
        middle=name.get(5),
        person=person,
        id_type=name.get(8),
        id=name.get(9),
        street=tuple(e for e in street.elements[1:3] if e) if street else (),
        city=city.get(1) if city else "",
        state=city.get(2) if city else "",
        postcode=city.get(3) if city else "",
        tax_id=loop.value("REF", 2, "EI", "SY"),
        taxonomy=taxonomy or loop.value("PRV", 3),
        birth=birth.get(2) if birth else "",
        gender=birth.get(3) if birth else "",
        phone=contact.get(4) if contact else "",
    )


def _insurance(level: Loop, patient: Loop | None) -> Subscription:
    head = level.first("SBR")
    person = patient.inner("2010CA") if patient else []
    return Subscription(
        subscriber=_loop_party(level, "2010BA"),
        payer=_loop_party(level, "2010BB"),
        sequence=head.get(1) if head else "",
        group=head.get(3) if head else "",
        plan=head.get(4) if head else "",
        filing=head.get(9) if head else "",
        relationship=patient.value("PAT", 1) if patient else "18",
        patient=_party(person[0]) if person else None,
    )


def _claim(loop: Loop, billing: Party, insurance: Subscription) -> ProfessionalClaim:
    head = loop.segments[0]
    accident = loop.value("DTP", 3, "439")
    return ProfessionalClaim(
        control=head.get(1),
        total=text_to_decimal(head.get(2)),
        place=head.get(5, 1),
        diagnoses=tuple(
            s.get(n, 2) for s in loop.all("HI") if s.get(1, 1) in ("ABK", "BK") for n in range(1, len(s.elements)) if s.get(n, 2)
        ),
        lines=tuple(_line(line) for line in loop.inner("2400")),
        billing=billing,
        insurance=insurance,
        frequency=head.get(5, 3),
        signature=head.get(6),
        assignment=head.get(7),
        benefits=head.get(8),
        release=head.get(9),
        rendering=_optional(loop, "2310B"),
        referring=_optional(loop, "2310A"),
        facility=_optional(loop, "2310C"),
        payer_control=loop.value("REF", 2, "F8"),
        authorization=loop.value("REF", 2, "G1"),
        admission=loop.value("DTP", 3, "435"),
        accident=f"{head.get(11, 1)}:{accident}" if head.get(11) else "",
    )


def _optional(loop: Loop, loop_id: str) -> Party | None:
    found = loop.inner(loop_id)
    return _party(found[0]) if found else None


def _line(loop: Loop) -> ServiceLine:
    service, when = loop.first("SV1"), loop.first("DTP", "472")
    low, _, high = when.get(3).partition("-") if when else ("", "", "")
    if service is None:
        return ServiceLine("", text_to_decimal(""), text_to_decimal(""), low, (), "")
    return ServiceLine(
        code=service.get(1, 2),
        charge=text_to_decimal(service.get(2)),
        quantity=text_to_decimal(service.get(4)),
        date=low,
        pointers=tuple(int(p) for p in service.parts(7) if p.isascii() and p.isdigit() and len(p) < 3),
        control=loop.value("REF", 2, "6R"),
        modifiers=tuple(m for m in service.parts(1)[2:6] if m),
        end=high,
        place=service.get(5),
    )
