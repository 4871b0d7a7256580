"""Compose the payer's answers: TA1, 999, 277CA and 835."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from chartloop.demo.payer.deciding import Decision, PaidLine
from chartloop.demo.payer.reading import Group, Submission, TransactionSet
from chartloop.demo.payer.writing import Row, amount, clean

FILINGS = {"12", "13", "14", "15", "16", "17", "AM", "CH", "DS", "HM", "LM", "MA", "MB", "MC", "OF", "TV", "VA", "WC", "ZZ"}
ZERO = Decimal(0)


def ta1(submission: Submission, code: str) -> Row:
    return ("TA1", submission.control, submission.date, submission.time, "R" if code else "A", code or "000")


def implementation_acknowledgment(group: Group) -> Iterator[Row]:
    """999 005010X231A1: each set accepted or refused with its syntax error."""
    yield ("AK1", "HC", group.control, group.version)
    accepted = 0
    for read_set in group.sets:
        yield ("AK2", "837", read_set.control, read_set.version)
        if read_set.errors:
            yield ("IK5", "R", *read_set.errors[:5])
        else:
            accepted += 1
            yield ("IK5", "A")
    verdict = "A" if accepted == len(group.sets) else "P" if accepted else "R"
    yield ("AK9", verdict, str(len(group.sets)), str(len(group.sets)), str(accepted))


def claim_acknowledgment(payer: tuple[str, str], read_set: TransactionSet, decisions: list[Decision], reference: str, date: str, time: str) -> Iterator[Row]:
    """277CA 005010X214: one patient level per claim under payer, submitter and billing provider."""
    accepted = [decision for decision in decisions if not decision.rejection]
    yield ("BHT", "0085", "08", reference, date, time, "TH")
    yield ("HL", "1", "", "20", "1")
    yield ("NM1", "PR", "2", clean(payer[1]), "", "", "", "", "PI", payer[0])
    yield ("TRN", "1", reference)
    yield ("DTP", "050", "D8", date)
    yield ("DTP", "009", "D8", date)
    yield ("HL", "2", "1", "21", "1")
    yield ("NM1", "41", "2", read_set.submitter[0], "", "", "", "", "46", read_set.submitter[1])
    yield ("TRN", "2", read_set.batch)
    yield ("STC", "A1:19:PR", date, "WQ", amount(sum((d.claim.charge for d in decisions), ZERO)))
    yield from _quantities(decisions, accepted, "90", "AA")
    yield ("HL", "3", "2", "19", "1")
    yield ("NM1", "85", "2", read_set.provider[0], "", "", "", "", "XX", read_set.provider[1])
    yield ("TRN", "1", read_set.batch)
    yield ("STC", "A1:19:PR", "", "WQ", amount(sum((d.claim.charge for d in decisions), ZERO)))
    yield from _quantities(decisions, accepted, "QA", "QC")
    for number, decision in enumerate(decisions, start=4):
        yield from _patient_level(number, decision, date)


def _quantities(decisions: list[Decision], accepted: list[Decision], yes: str, no: str) -> Iterator[Row]:
    refused = [decision for decision in decisions if decision.rejection]
    if accepted:
        yield ("QTY", yes, str(len(accepted)))
    if refused:
        yield ("QTY", no, str(len(refused)))
    if accepted:
        yield ("AMT", "YU", amount(sum((d.claim.charge for d in accepted), ZERO)))
    if refused:
        yield ("AMT", "YY", amount(sum((d.claim.charge for d in refused), ZERO)))


def _patient_level(number: int, decision: Decision, date: str) -> Iterator[Row]:
    claim = decision.claim
    yield ("HL", str(number), "3", "PT")
    identifier = ("MI", claim.member) if claim.member else ("", "")
    yield ("NM1", "QC", "1", claim.patient[0], claim.patient[1], "", "", "", *identifier)
    yield ("TRN", "2", claim.pcn)
    yield ("STC", decision.rejection or "A2:20:PR", date, "U" if decision.rejection else "WQ", amount(claim.charge))
    if not decision.rejection:
        yield ("REF", "1K", decision.icn)
    if claim.lines:
        yield ("DTP", "472", "D8", min(line.date for line in claim.lines))


def remittance(payer: tuple[str, str], provider: tuple[str, str, str], parts: list[tuple[Decision, list[PaidLine]]], trace: str, date: str) -> Iterator[Row]:
    """835 005010X221A1: balanced by line, by claim and by payment."""
    total = sum((line.paid for _, lines in parts for line in lines), ZERO)
    if total:
        yield ("BPR", "I", amount(total), "C", "ACH", "CCP", "01", "091000019", "DA", "100200300", "1999999999", "", "01", "091000019", "DA", "400500600", date)
    else:
        yield ("BPR", "H", "0", "C", "NON", *[""] * 11, date)
    yield ("TRN", "1", trace, "1999999999")
    yield ("DTM", "405", date)
    yield ("N1", "PR", clean(payer[1]))
    yield ("N3", "1 REMITTANCE PLAZA")
    yield ("N4", "SPRINGFIELD", "IL", "627010001")
    yield ("REF", "2U", payer[0])
    yield ("PER", "BL", "PROVIDER SERVICES", "TE", "8005550100")
    yield ("N1", "PE", provider[0], "XX", provider[1])
    yield ("REF", "TJ", provider[2])
    yield ("LX", "1")
    for decision, lines in parts:
        yield from _claim_payment(decision, lines)


def _claim_payment(decision: Decision, lines: list[PaidLine]) -> Iterator[Row]:
    claim = decision.claim
    charge = sum((line.line.charge for line in lines), ZERO)
    paid = sum((line.paid for line in lines), ZERO)
    patient = sum((line.deductible for line in lines), ZERO)
    status = "4" if all(line.denied for line in lines) else "1"
    filing = claim.filing if claim.filing in FILINGS else "12"  # CI stands in an 837 only
    yield ("CLP", claim.pcn, status, amount(charge), amount(paid), amount(patient) if patient else "", filing, decision.icn, "11", claim.frequency)
    yield ("NM1", "QC", "1", claim.patient[0], claim.patient[1], "", "", "", "MI", claim.member)
    for line in lines:
        units = line.line.units if line.line.units != "1" else ""
        yield ("SVC", line.line.procedure, amount(line.line.charge), amount(line.paid), "", units)
        yield ("DTM", "472", line.line.date)
        contractual = [("45", line.contractual)] if line.contractual else []
        if line.denied:
            contractual.append(("16", line.denied))
        for reason, value in contractual:
            yield ("CAS", "CO", reason, amount(value))
        if line.deductible:
            yield ("CAS", "PR", "1", amount(line.deductible))
        yield ("REF", "6R", line.line.number)
        if not line.denied:
            yield ("AMT", "B6", amount(line.paid + line.deductible))
        else:
            yield ("LQ", "HE", "N706")
