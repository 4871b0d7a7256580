"""An 837P as typed data: what the writer takes and the reader gives.

Spec: https://x12.org/products/technical-reports (005010X222A1)
"""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Party:
    """A person or an organization with what a claim says about it."""

    name: str
    first: str = ""
    middle: str = ""
    person: bool = False
    id_type: str = ""
    id: str = ""
    street: tuple[str, ...] = ()
    city: str = ""
    state: str = ""
    postcode: str = ""
    tax_id: str = ""
    taxonomy: str = ""
    birth: str = ""
    gender: str = ""
    phone: str = ""


@dataclass(frozen=True, slots=True)
class ServiceLine:
    """2400: one service."""

    code: str
    charge: Decimal
    quantity: Decimal
    date: str
    pointers: tuple[int, ...]
    control: str
    modifiers: tuple[str, ...] = ()
    end: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class Subscription:
    """2000B: whose insurance, with which payer, and who the patient is to the subscriber."""

    subscriber: Party
    payer: Party
    sequence: str = "P"
    group: str = ""
    plan: str = ""
    filing: str = "CI"
    relationship: str = "18"
    patient: Party | None = None


@dataclass(frozen=True, slots=True)
class ProfessionalClaim:
    """2300 with the parties it hangs under."""

    control: str
    total: Decimal
    place: str
    diagnoses: tuple[str, ...]
    lines: tuple[ServiceLine, ...]
    billing: Party
    insurance: Subscription
    frequency: str = "1"
    assignment: str = "A"
    benefits: str = "Y"
    release: str = "Y"
    signature: str = "Y"
    rendering: Party | None = None
    referring: Party | None = None
    facility: Party | None = None
    payer_control: str = ""
    authorization: str = ""
    admission: str = ""
    accident: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """One transaction set: submitter, receiver and claims."""

    submitter: Party
    receiver: Party
    reference: str
    created: str
    time: str
    claims: tuple[ProfessionalClaim, ...]
    control: str = "0001"


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the interchange and group headers say."""

    sender: str
    receiver: str
    control: int
    group_control: int
    date: str
    time: str
    usage: str = "T"
    sender_qualifier: str = "ZZ"
    receiver_qualifier: str = "ZZ"
