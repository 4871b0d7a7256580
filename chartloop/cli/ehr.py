"""`chartloop ehr`: a one-time link into the demo EHR; nobody has a password."""

from __future__ import annotations

import json
from pathlib import Path

import click

from chartloop.cli.options import data_option, json_option, settings_of


@click.group()
def ehr() -> None:
    """Enter the demo EHR."""


@ehr.command()
@data_option
@json_option
@click.option("--role", required=True, help="A role that the policies know.")
@click.option("--user", default="", metavar="REFERENCE", help='Who enters: "Practitioner/1".')
@click.option("--display", default="", help="How the pages call them.")
@click.option("--base-url", default="", help="URL of the server.  [default: of the settings]")
def link(data: Path | None, as_json: bool, role: str, user: str, display: str, base_url: str) -> None:
    """Print a link that opens the EHR once, as one person."""
    from chartloop.app import base_url as configured
    from chartloop.app import open_kernel
    from chartloop.cli.operator import operator
    from chartloop.kernel.access.subject import Subject
    from chartloop.kernel.audit.record import AuditRecord
    from chartloop.kernel.errors import Invalid
    from smart_apps.sessions import Sessions

    settings = settings_of(data)
    with open_kernel(settings) as kernel:
        policies = kernel.access.policies
        if role not in policies.roles:
            raise Invalid(f"There is no such role. Roles: {' '.join(policies.roles)}", code="value")
        person = Subject(id=f"user:{user or role}", role=role, user=user, scopes=tuple(policies.scopes["default"]))
        kernel.audit.access(AuditRecord("C", "token-issued", "0", operator(), ("ehr/ticket", f"role/{role}", *filter(None, (user,))), ()))
        ticket = Sessions(kernel.database).mint_ticket(person, display or user or role)
    url = f"{(base_url or configured(settings)).rstrip('/')}/ehr/enter?ticket={ticket}"
    click.echo(json.dumps({"url": url}) if as_json else url)
