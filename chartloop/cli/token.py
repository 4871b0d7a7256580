"""`chartloop token`: a short-lived bearer token for whoever may read the data directory."""

from __future__ import annotations

from pathlib import Path

import click

from chartloop.cli.options import data_option, settings_of


@click.command()
@data_option
@click.option("--role", required=True, help="A role that the policies know; a wrong one lists them.")
@click.option("--user", default="", metavar="REFERENCE", help='Whose token it is: "Practitioner/1".')
@click.option("--patient", default="", metavar="ID", help="Patient in context.")
@click.option("--scope", default="", help="SMART scopes, separated by spaces; they narrow what the role may do.")
def token(data: Path | None, role: str, user: str, patient: str, scope: str) -> None:
    """Print a bearer token; it ends after auth.token_ttl_s."""
    from chartloop.app import open_kernel
    from chartloop.cli.operator import operator
    from chartloop.kernel.audit.record import AuditRecord
    from chartloop.kernel.auth import issue_for_cli
    from chartloop.kernel.db_session import Tx

    settings = settings_of(data)
    with open_kernel(settings) as kernel:

        def issue(tx: Tx) -> str:
            made = issue_for_cli(tx, kernel.access.policies, role, user=user, patient=patient, scopes=scope.split(), ttl_s=settings.auth.token_ttl_s)
            kernel.audit.change(tx, AuditRecord("C", "token-issued", "0", operator(), (f"role/{role}", *filter(None, (user,))), (), f"scope={scope}"))
            return made

        issued = kernel.database.write(issue)
    click.echo(issued)
