"""The links a demo prints when its loop is closed: one per kind of user, and the API."""

from __future__ import annotations

import json
import shlex

from rich.console import Console

from chartloop.demo.parts import Demo
from chartloop.demo.processes import command

SEEN = {
    "clinician": "the charts with their risk cards, without what psychiatry wrote",
    "psychiatric-clinician": "the charts, with it",
    "coder": "the review queue; “Open in review app” launches it by SMART",
    "behavioral-health-coder": "the queue of psychiatric notes",
    "billing-administrator": "claims with codes and payments; never a narrative",
    "researcher": "tables of OMOP CDM 5.4; never a chart",
    "privacy-officer": "who looked at whom, and who broke the glass",
}


def print_links(demo: Demo, console: Console) -> None:
    """Print a one-time link for each kind of user, and where the APIs are; a link is never cut."""
    console.print("\nThe loop is closed. A link opens the EHR once, as that person; `chartloop ehr link` makes another.\n")
    for role, what in SEEN.items():
        name = demo.person_of(role)["name"][0]
        display = f"{' '.join(name['given'])} {name['family']}"
        who = ["--role", role, "--user", demo.user_of(role), "--display", display]
        arguments = ["ehr", "link", "--data", str(demo.data), *who, "--base-url", demo.server, "--json"]
        _line(console, role, json.loads(command(arguments))["url"], what)
    data = shlex.quote(str(demo.data))  # to be copied into a shell
    _line(console, "operations", f"{demo.server}/operations", f"opened by: chartloop ehr link --data {data} --role system-operator")
    _line(console, "FHIR API", demo.fhir_base, f"a token: chartloop token --data {data} --role ROLE")
    _line(console, "SMART", f"{demo.server}/.well-known/smart-configuration", "")
    _line(console, "CDS Hooks", f"{demo.server}/cds-services", "")
    _line(console, "telemetry", f"{demo.server}/intake/telemetry/{{apple-health,dexcom,open-mhealth}}?subject=Patient/ID", "")
    _line(console, "OMOP", f"{demo.server}/omop", "")
    _line(console, "HL7 v2", f"mllp://127.0.0.1:{demo.mllp_port}", "")
    _line(console, "metrics", f"{demo.server}/metrics", "")
    console.print("\nCtrl-C ends it; the same command continues it.")


def _line(console: Console, name: str, url: str, what: str) -> None:
    console.print(f"[bold]{name:<24}[/]{url}", soft_wrap=True)
    if what:
        console.print(f"{'':<24}[dim]{what}[/]", soft_wrap=True)
