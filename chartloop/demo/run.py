"""`chartloop demo`: start the parts, drive a note to a payment and an observation to a card, and say whether every step held."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from chartloop.demo.asking import ask, behind, predicted
from chartloop.demo.bundles import load_bundles
from chartloop.demo.checks import check_access
from chartloop.demo.fhir_client import FhirClient, FhirFailed, Resource
from chartloop.demo.links import print_links
from chartloop.demo.mllp_client import MllpFailed
from chartloop.demo.observing import patient_of, send_results, send_telemetry
from chartloop.demo.parts import Demo, start_parts, train_model
from chartloop.demo.population import SEED
from chartloop.demo.processes import PartFailed, Parts, command
from chartloop.demo.researching import check_researcher, rows_of
from chartloop.demo.scripted_coder import OPEN_REVIEWS, review
from chartloop.demo.steps import Counts, StepFailed, Steps, require
from chartloop.demo.visiting import Visits, send_visits, send_visits_to_review
from chartloop.kernel.clock import monotonic_s

PATIENCE_S = 240.0
CHARTS = 12
MIN_PREDICTED = 5  # of these charts: some people are too young for the equation, or too old
SETTLED_S = 2.5
FAILURES = (StepFailed, PartFailed, FhirFailed, MllpFailed, httpx.HTTPError)
STATIONS = {"note": "documentreference", "task": "task", "claim": "claim", "isa13": "isa13", "paymentreconciliation": "paymentreconciliation"}
FINAL = "ClaimResponse?outcome=complete,partial,error"


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line said."""

    data: Path
    once: bool = False
    summary: Path | None = None
    bundles: Path | None = None
    port: int = 8080
    mllp_port: int = 2575
    apps_port: int = 8501
    payer_port: int = 8075
    seed: int = SEED
    steps: Steps = field(default_factory=Steps)


def run(options: Options) -> bool:
    """Run a demo to its end, or until Ctrl-C; True when every step held."""
    steps = options.steps
    signal.signal(signal.SIGTERM, _interrupt)
    with Parts(options.data) as parts:
        try:
            train_model(options, steps)
            demo = start_parts(parts, options, steps)
            _drive(demo, options, steps)
            if not options.once:
                with steps.step("yours", "Send a few visits that nobody but you will review") as counts:
                    send_visits_to_review(demo, counts, options.seed)
                steps.write(options.summary)
                print_links(demo, steps.console)
                _wait_for_interrupt()
        except FAILURES as error:
            steps.console.print(f"[red]The demo ended:[/] {error}")
        except KeyboardInterrupt:
            steps.console.print("Stopping.")
        finally:
            steps.write(options.summary)
    return bool(steps.summary()["ok"])


def _drive(demo: Demo, options: Options, steps: Steps) -> None:
    loaded: list[Resource] = []
    if options.bundles is not None:
        with steps.step("bundles", f"Load the history in {options.bundles}") as counts:
            loaded = load_bundles(demo.as_role("operator"), options.bundles, options.data / "demo" / "loaded.json", counts)
    visits = send_visits(demo, loaded, steps, options.seed)
    with steps.step("observations", "Send results and vital signs as ORU^R01 over MLLP") as counts:
        send_results(demo, visits.visits, counts, options.seed)
    with steps.step("telemetry", "Take what patients' devices recorded, from three vendors") as counts:
        send_telemetry(demo, visits.visits, counts, options.seed)
    with steps.step("codes", "Suggest codes; certified ones go onto the draft claims, the others into review Tasks") as counts:
        _wait_for_codes(demo, visits, counts)
    with steps.step("review", "Review what was not certain, as coders do") as counts:
        _review(demo, visits, counts)
    with steps.step("claims", "Send the claims as 837P") as counts:
        _wait_for(lambda: _active(demo) >= visits.count, "claims to be sent", lambda: f"{_active(demo)} of {visits.count}")
        counts["claims"] = _active(demo)
    with steps.step("payment", "Take the payers' acknowledgments and remittances") as counts:
        _wait_for_payments(demo, visits, counts)
    with steps.step("trace", "Follow one claim from its note to its payment"):
        steps.trace.update(_trace(demo, visits))
    _follow(demo, visits, steps)
    with steps.step("access", "Check who sees what") as counts:
        roles = ("billing-administrator", "coder", "behavioral-health-coder", "researcher")
        check_access({role: demo.as_role(role) for role in roles}, counts)
    with steps.step("audit", "Verify the audit log") as counts:
        report = json.loads(command(["audit", "verify", "--data", str(options.data), "--json"]))
        counts.update({"sealed": report["sealed"], "unsealed": report["unsealed"], "heads": report["heads"]})


def _follow(demo: Demo, visits: Visits, steps: Steps) -> None:
    """The other half of the loop: from an observation to a prediction, to a card, to a researcher's table."""
    clinician = demo.as_role("clinician")
    patients = [patient_of(clinician, visit) for visit in visits.visits[:CHARTS]]
    with steps.step("risk", "Predict the risk of stroke from what is on record") as counts:
        assessments = _wait_for_predictions(clinician, patients)
        counts["published_equation"] = len(assessments)
        counts["predictions"] = clinician.total("RiskAssessment")
    with steps.step("cards", "Ask for cards as an EHR does when a chart is opened") as counts:
        shown = ask(demo, assessments, counts)[0]
    observation = behind(shown.assessment, "systolic-blood-pressure")
    with steps.step("omop", "Follow into OMOP CDM 5.4, as a researcher finds it") as counts:
        _wait_for(lambda: bool(rows_of(demo, observation)), "rows of OMOP", lambda: f"none of {observation}")
        check_researcher(demo, observation, counts)
    steps.trace.update({
        "observation": observation.removeprefix("Observation/"),
        "riskassessment": str(shown.assessment["id"]),
        "card": shown.card,
        "omop": rows_of(demo, observation),
    })


def _wait_for_predictions(clinician: FhirClient, patients: Sequence[str]) -> list[Resource]:
    """The predictions of some charts, once they no longer change: what came in last has been looked at."""
    seen: list[list[str]] = [[], []]

    def settled() -> bool:
        time.sleep(SETTLED_S / 2)
        seen.append([f"{each['id']}/{each['meta']['versionId']}" for each in predicted(clinician, patients)])
        return len(seen[-1]) >= MIN_PREDICTED and seen[-1] == seen[-2] == seen[-3]

    _wait_for(settled, "predictions", lambda: f"{len(seen[-1])} of {len(patients)} charts")
    return predicted(clinician, patients)


def _wait_for(done: Callable[[], bool], what: str, seen: Callable[[], str]) -> None:
    deadline = monotonic_s() + PATIENCE_S
    while not done():
        require(monotonic_s() < deadline, f"waited {PATIENCE_S:.0f} s for {what}: {seen()}")
        time.sleep(0.25)


def _active(demo: Demo) -> int:
    """Claims of this demo that were sent; loaded history has no such identifier."""
    return demo.as_role("billing-administrator").total(f"Claim?status=active&identifier={demo.sent_identifier}")


def _open_reviews(demo: Demo) -> int:
    return demo.as_role("behavioral-health-coder").total(OPEN_REVIEWS)


def _wait_for_codes(demo: Demo, visits: Visits, counts: Counts) -> None:
    """Every visit has a claim that was sent, or one that waits for a coder."""
    _wait_for(
        lambda: _open_reviews(demo) + _active(demo) >= visits.count,
        "the notes to be coded",
        lambda: f"{_open_reviews(demo)} reviews and {_active(demo)} claims of {visits.count}",
    )
    counts["reviews_open"], counts["sent_without_review"] = _open_reviews(demo), _active(demo)


def _review(demo: Demo, visits: Visits, counts: Counts) -> None:
    counts.update({"reviewed": 0, "reviewed_behavioral_health": 0})
    for role, name in (("coder", "reviewed"), ("behavioral-health-coder", "reviewed_behavioral_health")):
        client = demo.as_role(role)
        for task in [task for task in client.each(OPEN_REVIEWS) if visits.holds(client, task)]:
            review(client, task, demo.user_of(role), visits.codes_of(client, task))
            counts[name] += 1


def _wait_for_payments(demo: Demo, visits: Visits, counts: Counts) -> None:
    billing = demo.as_role("billing-administrator")
    _wait_for(lambda: billing.total(FINAL) >= visits.count, "the payers to answer", lambda: f"{billing.total(FINAL)} of {visits.count} claims have a final answer")
    stats = httpx.get(f"{demo.payer_base}/stats", timeout=10, trust_env=False).json().values()
    counts["payer_counts_claims"] = sum(payer["distinct_claims"] for payer in stats)
    counts["payer_counts_duplicates"] = sum(payer["duplicates"] for payer in stats)
    counts["paid"] = sum(payer["paid"] for payer in stats)
    counts["remittances"] = billing.total("PaymentReconciliation")
    same = counts["payer_counts_claims"] == _active(demo) and counts["payer_counts_duplicates"] == 0
    require(same, "the payers count other claims than we do")


def _trace(demo: Demo, visits: Visits) -> dict[str, str]:
    """The first claim, in the order of a search, whose way is whole: a note, a review, a payment."""
    for claim in visits.claims(demo.as_role("billing-administrator"), demo.sent_identifier):
        trail = json.loads(command(["claims", "trace", claim, "--data", str(demo.data), "--json"]))
        # "Claim/1" and "CHARTLOOP-000000001": the last part is the id itself
        found = {STATIONS.get(step["kind"], ""): re.split("[/-]", step["id"], maxsplit=1)[-1] for step in trail["steps"]}
        trace = {name: found.get(name, "") for name in STATIONS.values()}
        if all(trace.values()):
            return trace
    raise StepFailed("no claim went the whole way from a note over a review to a payment")


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _wait_for_interrupt() -> None:
    while True:
        time.sleep(1)
