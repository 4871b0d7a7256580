"""The claims' half of a demo: wait for codes, review what was not certain, wait for the payers, follow one claim."""

from __future__ import annotations

import json
import re

import httpx

from chartloop.demo.parts import Demo
from chartloop.demo.processes import command
from chartloop.demo.scripted_coder import OPEN_REVIEWS, review
from chartloop.demo.steps import Counts, StepFailed, require
from chartloop.demo.visiting import Visits
from chartloop.demo.waiting import wait_for

STATIONS = {"note": "documentreference", "task": "task", "claim": "claim", "isa13": "isa13", "paymentreconciliation": "paymentreconciliation"}
FINAL = "ClaimResponse?outcome=complete,partial,error"


def _active(demo: Demo) -> int:
    """Claims of this demo that were sent; loaded history has no such identifier."""
    return demo.as_role("billing-administrator").total(f"Claim?status=active&identifier={demo.sent_identifier}")


def _open_reviews(demo: Demo) -> int:
    return demo.as_role("behavioral-health-coder").total(OPEN_REVIEWS)


def wait_for_codes(demo: Demo, visits: Visits, counts: Counts) -> None:
    """Wait until every visit has a claim that was sent, or one that waits for a coder."""
    wait_for(
        lambda: _open_reviews(demo) + _active(demo) >= visits.count,
        "the notes to be coded",
        lambda: f"{_open_reviews(demo)} reviews and {_active(demo)} claims of {visits.count}",
    )
    counts["reviews_open"], counts["sent_without_review"] = _open_reviews(demo), _active(demo)


def review_all(demo: Demo, visits: Visits, counts: Counts) -> None:
    """Complete every review of these visits, each by the coder who may see it."""
    counts.update({"reviewed": 0, "reviewed_behavioral_health": 0})
    for role, name in (("coder", "reviewed"), ("behavioral-health-coder", "reviewed_behavioral_health")):
        client = demo.as_role(role)
        for task in [task for task in client.each(OPEN_REVIEWS) if visits.holds(client, task)]:
            review(client, task, demo.user_of(role), visits.codes_of(client, task))
            counts[name] += 1


def wait_for_claims(demo: Demo, visits: Visits, counts: Counts) -> None:
    """Wait until the claim of every visit was sent."""
    wait_for(lambda: _active(demo) >= visits.count, "claims to be sent", lambda: f"{_active(demo)} of {visits.count}")
    counts["claims"] = _active(demo)


def wait_for_payments(demo: Demo, visits: Visits, counts: Counts) -> None:
    """Wait until the payers have answered every claim, and hold them to having counted as we did."""
    billing = demo.as_role("billing-administrator")
    wait_for(lambda: billing.total(FINAL) >= visits.count, "the payers to answer", lambda: f"{billing.total(FINAL)} of {visits.count} claims have a final answer")
    stats = httpx.get(f"{demo.payer_base}/stats", timeout=10, trust_env=False).json().values()
    counts["payer_counts_claims"] = sum(payer["distinct_claims"] for payer in stats)
    counts["payer_counts_duplicates"] = sum(payer["duplicates"] for payer in stats)
    counts["paid"] = sum(payer["paid"] for payer in stats)
    counts["remittances"] = billing.total("PaymentReconciliation")
    same = counts["payer_counts_claims"] == _active(demo) and counts["payer_counts_duplicates"] == 0
    require(same, "the payers count other claims than we do")


def trace(demo: Demo, visits: Visits) -> dict[str, str]:
    """Follow the first claim, in the order of a search, whose way is whole: a note, a review, a payment."""
    for claim in visits.claims(demo.as_role("billing-administrator"), demo.sent_identifier):
        trail = json.loads(command(["claims", "trace", claim, "--data", str(demo.data), "--json"]))
        # "Claim/1" and "CHARTLOOP-000000001": the last part is the id itself
        found = {STATIONS.get(step["kind"], ""): re.split("[/-]", step["id"], maxsplit=1)[-1] for step in trail["steps"]}
        stations = {name: found.get(name, "") for name in STATIONS.values()}
        if all(stations.values()):
            return stations
    raise StepFailed("no claim went the whole way from a note over a review to a payment")
