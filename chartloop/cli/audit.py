"""`chartloop audit`: prove that the audit log is what was written."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from chartloop.cli.main import FAILED
from chartloop.cli.options import data_option, json_option, settings_of


@click.group()
def audit() -> None:
    """Look after the audit log."""


@audit.command()
@data_option
@json_option
@click.option("--heads", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="Tree heads kept elsewhere, to check against.")
def verify(data: Path | None, as_json: bool, heads: Path | None) -> int:
    """Check every record, every signed tree head, and that every stored version has its record.

    Exit 0 when everything holds; 1 names the first bad sequence number or the tree head that does not fit. The records are checked as they are
    stored: where the master key is missing, only the comparison of versions with their records is left out, and said so.
    """
    from chartloop.app import open_kernel
    from chartloop.kernel.audit.verify import verify as verify_log
    from fhir_server.versions import stored_versions

    settings = settings_of(data)
    with open_kernel(settings, key_needed=False) as kernel:
        versions, keyless = None if kernel.keyless else stored_versions, kernel.keyless
        report = verify_log(kernel.database, settings.data, heads_file=heads or settings.audit.heads_file, versions=versions)
    if as_json:
        click.echo(json.dumps({**asdict(report), "versions_compared": versions is not None}, indent=2))
    else:
        if keyless:
            click.echo(f"Versions were not compared with their records. {keyless}")
        click.echo(f"{report.sealed:,} records under {report.heads:,} signed tree heads, {report.unsealed:,} waiting for the sealer")
        for problem in report.problems:
            click.echo(problem)
        if report.first_bad is not None:
            click.echo(f"first bad sequence number: {report.first_bad}")
        if report.bad_head is not None:
            click.echo(f"first tree head that does not fit: the one of size {report.bad_head}")
        click.echo("the audit log holds" if report.ok else "the audit log does NOT hold")
    return 0 if report.ok else FAILED
