"""`chartloop access`: why somebody sees what they see, what is labelled and why, who treats whom."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chartloop.cli.options import data_option, json_option, settings_of

if TYPE_CHECKING:
    from chartloop.app import Kernel
    from chartloop.kernel.access.scope import Scope
    from fhir_server.explaining import Explained
    from fhir_server.labels.report import Labelled


@click.group()
def access() -> None:
    """See who may see what, and why."""


@access.command()
@data_option
@json_option
@click.option("--subject", required=True, metavar="ROLE[:REFERENCE]", help='Who: a role, or a role and a person, "clinician:Practitioner/1".')
@click.option("--patient", default="", metavar="ID", help="Patient in the subject's context; the own record of the role patient.")
@click.option("--resource", required=True, metavar="TYPE/ID", help="What they want to see or change.")
@click.option("--action", default="read", show_default=True, help="What they want to do: read, search, update …")
@click.option("--purpose", default="TREAT", show_default=True, help="Purpose of use, of v3-ActReason.")
@click.option("--scope", default="", help="SMART scopes of their token, separated by spaces.")
def explain(data: Path | None, as_json: bool, subject: str, patient: str, resource: str, action: str, purpose: str, scope: str) -> None:
    """Say which policies permit or forbid something, what they looked at, and which elements they hide."""
    from chartloop.app import open_door, open_kernel
    from fhir_server.explaining import explain_any

    type_, _, id_ = resource.partition("/")
    with open_kernel(settings_of(data)) as kernel:
        asked = _subject(kernel, subject, patient, purpose, scope, action)
        found = explain_any(open_door(kernel).store, asked, type_, id_, _own(kernel))
    if as_json:
        click.echo(json.dumps(asdict(found), indent=2))
        return
    for line in _told(found):
        click.echo(line)


@access.command()
@data_option
@json_option
@click.option("--patient", default="", metavar="ID", help="One patient's chart alone.")
def labels(data: Path | None, as_json: bool, patient: str) -> None:
    """List what is labelled and why: the rule or code set and the element that met it, no word of a record."""
    from chartloop.app import open_door, open_kernel
    from fhir_server.labels.report import labelled
    from fhir_server.labels.rules import load

    compartment = f"Patient/{patient}" if patient and "/" not in patient else patient
    with open_kernel(settings_of(data)) as kernel:
        found = list(labelled(open_door(kernel).store, load(), _own(kernel), compartment))
    if as_json:
        click.echo(json.dumps([{**asdict(each), "reasons": [reason._asdict() for reason in each.reasons], "kept": each.kept} for each in found], indent=2))
        return
    for each in found:
        for line in _labelled(each):
            click.echo(line)
    click.echo(f"{len(found)} labelled resources")


@access.command()
@data_option
@click.option("--patient", required=True, metavar="ID", help="Whose chart.")
@click.option("--user", required=True, metavar="REFERENCE", help='Who treats them: "Practitioner/1".')
@click.option("--days", default=0.0, show_default=True, help="How long, from now; 0 takes the relation away.")
def relate(data: Path | None, patient: str, user: str, days: float) -> None:
    """Say that somebody treats a patient, where no visit, team or general practitioner says so."""
    from chartloop.app import open_kernel
    from chartloop.kernel.access.relating import relate as write

    compartment = f"Patient/{patient}" if "/" not in patient else patient
    with open_kernel(settings_of(data)) as kernel:
        who = _own(kernel).subject
        kernel.database.write(lambda tx: write(tx, kernel.audit, who, compartment, user, days))
    click.echo(f"{user} treats {compartment} for {days:g} days" if days else f"{user} treats {compartment} no more by this relation")


@access.command()
@data_option
def rebuild(data: Path | None) -> None:
    """Derive every grant anew from what is stored: visits, teams, Tasks, Consents."""
    from chartloop.app import open_door, open_kernel
    from fhir_server.granting.bringing import rebuild_grants

    with open_kernel(settings_of(data)) as kernel:
        looked = rebuild_grants(open_door(kernel).store)
    click.echo(f"{looked} resources looked at")


def _own(kernel: Kernel) -> Scope:
    """Who works on the server's own command line."""
    from chartloop.engines import subject
    from chartloop.kernel.access.scope import Scope

    return Scope(subject(kernel, "reindex"), "read")


def _subject(kernel: Kernel, said: str, patient: str, purpose: str, scopes: str, action: str) -> Scope:
    from chartloop.kernel.access.scope import Scope
    from chartloop.kernel.access.subject import Subject

    role, _, user = said.partition(":")
    policies = kernel.access.policies
    if role not in policies.roles:
        raise click.UsageError(f"There is no such role. Roles: {' '.join(policies.roles)}")
    if action not in policies.actions:
        raise click.UsageError(f"There is no such action. Actions: {' '.join(policies.actions)}")
    compartment = f"Patient/{patient}" if patient and "/" not in patient else patient
    granted = tuple(scopes.split()) or tuple(policies.scopes["default"])
    return Scope(Subject("explained", role, user, compartment, granted, purpose), action)


def _told(found: Explained) -> list[str]:
    why = found.why
    lines = [f"{found.action} {found.reference}: {'permitted' if why.permitted else 'denied'}"]
    lines += [f"  permits: {name}{f', elements of {listed}' if listed else ''}" for name, listed in why.permits]
    lines += [f"  forbids: {name}" for name in why.forbids]
    if not why.permits and not why.forbids:
        lines.append("  no policy speaks of it, and the default is deny")
    if not why.scopes:
        lines.append("  the SMART scopes do not reach it")
    lines += [f"  {text}: {reason}" for text, reason in why.narrowed]
    lines.append(f"  labels: {' '.join(found.labels) or 'none'}; patient: {found.patient or 'none'}; grants: {' '.join(why.facts) or 'none'}")
    lines.append(f"  looked at: {' '.join(why.asked) or 'nothing of the row'}")
    lines += [f"  hidden by {', '.join(found.hidden_by)}: {path}" for path in found.hidden]
    return lines


def _labelled(each: Labelled) -> list[str]:
    lines = [f"{each.reference}: {' '.join(each.labels)}"]
    lines += [f"  {reason.label}: {reason.rule} at {reason.path}{f' from {reason.source}' if reason.source else ''}" for reason in each.reasons]
    return [*lines, *(f"  {label}: an earlier version" for label in each.kept)]
