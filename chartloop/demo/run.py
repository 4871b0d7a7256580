"""`chartloop demo`: start the parts, drive a note to a payment and an observation to a card, and say whether every step held."""

from __future__ import annotations

import json
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from chartloop.demo.asking import ask, behind, wait_for_predictions
from chartloop.demo.bundles import load_bundles
from chartloop.demo.checks import check_access
from chartloop.demo.claiming import review_all, trace, wait_for_claims, wait_for_codes, wait_for_payments
from chartloop.demo.fhir_client import FhirFailed, Resource
from chartloop.demo.links import print_links
from chartloop.demo.mllp_client import MllpFailed
from chartloop.demo.observing import patient_of, send_results, send_telemetry
from chartloop.demo.parts import Demo, start_parts, train_model
from chartloop.demo.population import SEED
from chartloop.demo.processes import PartFailed, Parts, command
from chartloop.demo.researching import check_researcher, rows_of
from chartloop.demo.steps import StepFailed, Steps
from chartloop.demo.visiting import Visits, send_visits, send_visits_to_review
from chartloop.demo.waiting import wait_for

CHARTS = 12
FAILURES = (StepFailed, PartFailed, FhirFailed, MllpFailed, httpx.HTTPError)


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
            steps.complete = True
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
        wait_for_codes(demo, visits, counts)
    with steps.step("review", "Review what was not certain, as coders do") as counts:
        review_all(demo, visits, counts)
    with steps.step("claims", "Send the claims as 837P") as counts:
        wait_for_claims(demo, visits, counts)
    with steps.step("payment", "Take the payers' acknowledgments and remittances") as counts:
        wait_for_payments(demo, visits, counts)
    with steps.step("trace", "Follow one claim from its note to its payment"):
        steps.trace.update(trace(demo, visits))
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
        assessments = wait_for_predictions(clinician, patients)
        counts["published_equation"] = len(assessments)
        counts["predictions"] = clinician.total("RiskAssessment")
    with steps.step("cards", "Ask for cards as an EHR does when a chart is opened") as counts:
        shown = ask(demo, assessments, counts)[0]
    observation = behind(shown.assessment, "systolic-blood-pressure")
    with steps.step("omop", "Follow into OMOP CDM 5.4, as a researcher finds it") as counts:
        wait_for(lambda: bool(rows_of(demo, observation)), "rows of OMOP", lambda: f"none of {observation}")
        check_researcher(demo, observation, counts)
    steps.trace.update({
        "observation": observation.removeprefix("Observation/"),
        "riskassessment": str(shown.assessment["id"]),
        "card": shown.card,
        "omop": rows_of(demo, observation),
    })


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _wait_for_interrupt() -> None:
    while True:
        time.sleep(1)
