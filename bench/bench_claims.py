"""Claims rendered and validated per second, ours beside pyx12 on the same bytes: `python -m bench.bench_claims [--claims N]`."""

from __future__ import annotations

import argparse
import datetime as dt
import io
import logging
import platform
import random
import resource
import sys
import time
from decimal import Decimal

from bench.machine import machine
from claims.x12.issue import ERROR
from claims.x12.professional import Batch, Envelope, Party, ProfessionalClaim, ServiceLine, Subscription
from claims.x12.professional_writer import batch_to_interchange
from claims.x12.validation import validate

SEED = 7
TARGET = ">= 4,000 claims/s and >= 100,000 segments/s (pyx12: 200-275 claims/s)"
STREET = {"street": ("1 MAIN ST",), "city": "BOSTON", "state": "MA", "postcode": "021150001"}


def batch(count: int) -> Batch:
    """Claims of three lines each, from one billing provider."""
    rng = random.Random(SEED)
    billing = Party("CLINIC", id_type="XX", id="1999999984", tax_id="123456789", taxonomy="207Q00000X", **STREET)
    doctor = Party("DOE", "JO", person=True, id_type="XX", id="1234567893", taxonomy="207Q00000X")
    claims = []
    for number in range(count):
        charges = [Decimal(rng.randrange(1000, 50_000)) / 100 for _ in range(3)]
        lines = tuple(ServiceLine("G0463", c, Decimal(1), "20261120", (1, 2), str(n)) for n, c in enumerate(charges, 1))
        person = Party("MULLER", "ZOE", person=True, id_type="MI", id=f"M{number:09}", birth="19800203", gender="F", **STREET)
        insurance = Subscription(person, Party("PAYER ONE", id_type="PI", id="P1"))
        claims.append(ProfessionalClaim(f"PCN{number:014}", sum(charges, Decimal(0)), "11", ("J020", "F321"), lines, billing, insurance, rendering=doctor))
    submitter = Party("CHARTLOOP", first="OFFICE", id_type="46", id="CHARTLOOP", phone="5555550100")
    return Batch(submitter, Party("PAYER", id_type="46", id="P1"), "1", "20261122", "0800", tuple(claims))


def pyx12_seconds(data: bytes) -> float:
    """Validate with pyx12, which answers true only if it finds no error."""
    import pyx12.params
    import pyx12.x12n_document

    logging.disable(logging.CRITICAL)
    start = time.perf_counter()
    good = pyx12.x12n_document.x12n_document(pyx12.params.params(), io.StringIO(data.decode()), None, None, None, None)
    spent = time.perf_counter() - start
    print(f"pyx12 accepts the file: {good}")
    return spent


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--claims", type=int, default=5000)
    parser.add_argument("--pyx12-claims", type=int, default=500)
    options = parser.parse_args()
    print(f"command: python -m bench.bench_claims {' '.join(sys.argv[1:])}  seed {SEED}  {machine()}  Python {platform.python_version()}  {dt.date.today()}")
    count, made = options.claims, batch(options.claims)
    envelope = Envelope("CHARTLOOP", "P1", 1, 1, "20261122", "0800")
    start = time.perf_counter()
    data = batch_to_interchange(made, envelope)
    written = time.perf_counter() - start
    start = time.perf_counter()
    report = validate(data, codes=ERROR)
    checked = time.perf_counter() - start
    segments = data.count(b"~")
    print(f"rendered   {count:6} claims {segments:7} segments  {count / written:10,.0f} claims/s  {segments / written:10,.0f} segments/s")
    print(f"validated  {count:6} claims {segments:7} segments  {count / checked:10,.0f} claims/s  {segments / checked:10,.0f} segments/s  valid {report.valid}")
    print(f"both       {count / (written + checked):10,.0f} claims/s   target {TARGET}   peak RSS {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")
    one = batch_to_interchange(batch(1), envelope)
    start = time.perf_counter()
    for _ in range(200):
        validate(one)
    print(f"one claim, warm: {(time.perf_counter() - start) / 200 * 1000:.2f} ms   (pyx12: 353 ms)")
    few = batch_to_interchange(batch(options.pyx12_claims), envelope)
    start = time.perf_counter()
    validate(few, codes=ERROR)
    ours = time.perf_counter() - start
    theirs = pyx12_seconds(few)
    print(f"same file of {options.pyx12_claims} claims: ours {options.pyx12_claims / ours:,.0f}/s, pyx12 {options.pyx12_claims / theirs:,.0f}/s, ratio {theirs / ours:.1f}")


if __name__ == "__main__":
    main()
