"""TA1, 999 and 277CA as typed data, with their readers.

Spec: https://x12.org/products/technical-reports (ASC X12.5 TA1; 005010X231A1; 005010X214)
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from claims.x12.money import text_to_decimal
from claims.x12.segment import Segment
from claims.x12.walker import Loop


@dataclass(frozen=True, slots=True)
class InterchangeAcknowledgment:
    """TA1: the answer to one interchange."""

    control: str
    verdict: str
    note: str


@dataclass(frozen=True, slots=True)
class SegmentFinding:
    """IK3 or IK4: where the receiver saw a fault (positions count from ST = 1), and its code."""

    segment: str
    position: str
    loop: str
    code: str
    element: str = ""


@dataclass(frozen=True, slots=True)
class SetAcknowledgment:
    """AK2 to IK5: the answer to one transaction set."""

    identifier: str
    control: str
    verdict: str
    codes: tuple[str, ...]
    findings: tuple[SegmentFinding, ...]


@dataclass(frozen=True, slots=True)
class FunctionalAcknowledgment:
    """A 999: the answer to one functional group."""

    functional_id: str
    group_control: str
    verdict: str
    codes: tuple[str, ...]
    sets: tuple[SetAcknowledgment, ...]

    @property
    def accepted(self) -> bool:
        """Return whether the group, or part of it, goes on."""
        return self.verdict in ("A", "E", "P")


@dataclass(frozen=True, slots=True)
class ClaimStatus:
    """STC: category and status code, the action (WQ accepted, U rejected) and the amount."""

    category: str
    status: str
    entity: str
    action: str
    date: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class ClaimAcknowledgment:
    """2200D: what became of one claim."""

    control: str
    payer_control: str
    statuses: tuple[ClaimStatus, ...]
    line_statuses: tuple[ClaimStatus, ...] = ()

    @property
    def rejected(self) -> bool:
        """Return whether the payer will not adjudicate this claim."""
        return any(s.action == "U" or s.category in ("A3", "A4", "A6", "A7", "A8") for s in self.statuses)


@dataclass(frozen=True, slots=True)
class ClaimAcknowledgments:
    """A 277CA: its batch and the claims answered."""

    reference: str
    batch: str
    batch_statuses: tuple[ClaimStatus, ...]
    claims: tuple[ClaimAcknowledgment, ...] = field(default=())


def segment_to_interchange_acknowledgment(segment: Segment) -> InterchangeAcknowledgment:
    """Read a TA1."""
    return InterchangeAcknowledgment(segment.get(1), segment.get(4), segment.get(5))


def loop_to_functional_acknowledgment(root: Loop) -> FunctionalAcknowledgment:
    """Read a 999."""
    tail = root.first("AK9")
    codes = tuple(c for c in tail.elements[5:] if c) if tail else ()
    sets = tuple(_set(loop) for loop in root.inner("2000"))
    return FunctionalAcknowledgment(root.value("AK1", 1), root.value("AK1", 2), tail.get(1) if tail else "", codes, sets)


def _set(loop: Loop) -> SetAcknowledgment:
    tail = loop.first("IK5")
    codes = tuple(c for c in tail.elements[2:] if c) if tail else ()
    findings = tuple(finding for inner in loop.inner("2100") for finding in _findings(inner))
    return SetAcknowledgment(loop.value("AK2", 1), loop.value("AK2", 2), tail.get(1) if tail else "", codes, findings)


def _findings(loop: Loop) -> Iterator[SegmentFinding]:
    head = loop.segments[0]
    place = (head.get(1), head.get(2), head.get(3))
    yield SegmentFinding(*place, head.get(4))
    for inner in loop.inner("2110"):
        detail = inner.segments[0]
        yield SegmentFinding(*place, detail.get(3), detail.get(1))


def loop_to_claim_acknowledgments(root: Loop) -> ClaimAcknowledgments:
    """Read a 277CA."""
    batch = ""
    statuses: tuple[ClaimStatus, ...] = ()
    claims: list[ClaimAcknowledgment] = []
    for source in root.inner("2000A"):
        for receiver in source.inner("2000B"):
            for trace in receiver.inner("2200B"):
                batch, statuses = trace.value("TRN", 2), _statuses(trace)
            for provider in receiver.inner("2000C"):
                for patient in provider.inner("2000D"):
                    claims += [_claim(loop) for loop in patient.inner("2200D")]
    return ClaimAcknowledgments(root.value("BHT", 3), batch, statuses, tuple(claims))


def _claim(loop: Loop) -> ClaimAcknowledgment:
    lines = tuple(status for line in loop.inner("2220D") for status in _statuses(line))
    return ClaimAcknowledgment(loop.value("TRN", 2), loop.value("REF", 2, "1K"), _statuses(loop), lines)


def _statuses(loop: Loop) -> tuple[ClaimStatus, ...]:
    return tuple(
        ClaimStatus(s.get(1, 1), s.get(1, 2), s.get(1, 3), s.get(3), s.get(2), text_to_decimal(s.get(4))) for s in loop.all("STC")
    )
