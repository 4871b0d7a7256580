"""What a payer answers, by seed: the same claim gets the same answer in every run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal

from chartloop.demo.payer.reading import Claim, Line, TransactionSet

CENT = Decimal("0.01")


@dataclass(slots=True)
class Behaviour:
    """How one payer behaves; rates are shares of claims, 0 to 1."""

    reject_rate: float = 0.0
    deny_rate: float = 0.05
    underpay_rate: float = 0.15
    split_rate: float = 0.10
    outage_rate: float = 0.10  # share of interchanges whose first sending meets a 503
    delay_s: float = 0.3
    hang_s: float = 0.0
    outage: bool = False


@dataclass(frozen=True, slots=True)
class PaidLine:
    line: Line
    paid: Decimal
    contractual: Decimal  # CO-45
    deductible: Decimal  # PR-1
    denied: Decimal  # CO-16


@dataclass(slots=True)
class Decision:
    claim: Claim
    icn: str
    rejection: str = ""  # 277CA status "category:status[:entity]", "" when accepted
    lines: list[PaidLine] = field(default_factory=list)
    split: bool = False


def chance(seed: int, *words: str) -> float:
    """A number in [0, 1) that depends on nothing but its arguments."""
    digest = hashlib.sha256("\x1f".join((str(seed), *words)).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def luhn(npi: str) -> bool:
    """Check digit of an NPI, prefix 80840 included (45 CFR 162.406)."""
    if len(npi) != 10 or not npi.isdigit():
        return False
    digits = [int(digit) for digit in "80840" + npi]
    doubled = [digit if index % 2 == 0 else sum(divmod(digit * 2, 10)) for index, digit in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0


def decide(seed: int, payer: str, behaviour: Behaviour, read_set: TransactionSet, claim: Claim) -> Decision:
    """Accept, reject, pay, underpay or deny one claim."""
    icn = "ICN" + hashlib.sha256(f"{payer}/{claim.pcn}".encode()).hexdigest()[:12].upper()
    decision = Decision(claim, icn, _front_end(read_set, claim))
    if not decision.rejection and chance(seed, payer, claim.pcn, "reject") < behaviour.reject_rate:
        decision.rejection = "A3:116"
    if not decision.rejection:
        decision.lines = [_pay(seed, payer, behaviour, claim, line) for line in claim.lines]
        decision.split = len(claim.lines) > 1 and chance(seed, payer, claim.pcn, "split") < behaviour.split_rate
    return decision


def _front_end(read_set: TransactionSet, claim: Claim) -> str:
    if not luhn(read_set.provider[1]):
        return "A7:562:85"  # entity's NPI
    if not claim.member:
        return "A7:164:IL"  # entity's contract or member number
    if not claim.diagnoses or any("." in code for code in claim.diagnoses):
        return "A7:255"  # diagnosis code
    if sum((line.charge for line in claim.lines), Decimal(0)) != claim.charge:
        return "A7:178"  # submitted charges
    return ""


def _pay(seed: int, payer: str, behaviour: Behaviour, claim: Claim, line: Line) -> PaidLine:
    zero = Decimal(0)
    if chance(seed, payer, claim.pcn, line.number, "deny") < behaviour.deny_rate:
        return PaidLine(line, zero, zero, zero, line.charge)
    allowed = (line.charge * Decimal("0.8")).quantize(CENT, ROUND_HALF_UP)
    if chance(seed, payer, claim.pcn, "underpay") < behaviour.underpay_rate:
        allowed = (line.charge * Decimal("0.55")).quantize(CENT, ROUND_HALF_UP)
    deductible = min(Decimal(20), allowed) if line is claim.lines[0] else zero
    return PaidLine(line, allowed - deductible, line.charge - allowed, deductible, zero)
