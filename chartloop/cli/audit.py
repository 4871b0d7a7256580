"""`chartloop audit`: prove that the audit log is what was written, and show it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chartloop.cli.audit_prove import anchor, export, prove
from chartloop.cli.audit_show import disclosures_, show
from chartloop.cli.main import FAILED
from chartloop.cli.options import data_option, json_option, settings_of

if TYPE_CHECKING:
    from chartloop.kernel.audit.verify import VerifyReport

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.group()
def audit() -> None:
    """Look after the audit log."""


for _command in (anchor, disclosures_, export, prove, show):
    audit.add_command(_command)


@audit.command()
@data_option
@json_option
@click.option("--heads", type=_FILE, help="Tree heads kept elsewhere, to check against.")
@click.option("--proof", type=_FILE, help="Check this proof alone; needs --heads or --key, and no database.")
@click.option("--export", "exported", type=_FILE, help="Check this exported log alone; needs --heads, and no database.")
@click.option("--key", default="", metavar="HEX", help="The log's public key, as you were told it.")
def verify(data: Path | None, as_json: bool, heads: Path | None, proof: Path | None, exported: Path | None, key: str) -> int:
    """Check every record, every signed tree head, and that every stored version has its record.

    Exit 0 when everything holds; 1 names the first bad sequence number or the tree head that does not fit. The records are checked as they are
    stored: where the master key is missing, only the comparison of versions with their records is left out, and said so.
    """
    if proof is not None:
        return _verify_proof(proof, heads, key)
    if exported is not None:
        return _verify_export(exported, heads)
    report, keyless = _verify_log(data, heads)
    return _print(report, as_json, keyless)


def _verify_log(data: Path | None, heads: Path | None) -> tuple[VerifyReport, str]:
    """Check the log; also say why versions could not be compared, where they could not."""
    from chartloop.app import open_kernel
    from chartloop.kernel.audit.verify import remember_report
    from chartloop.kernel.audit.verify import verify as verify_log
    from fhir_server.versions import stored_versions

    settings = settings_of(data)
    kept = heads or settings.audit.heads_file
    with open_kernel(settings, key_needed=False) as kernel:
        versions = None if kernel.keyless else stored_versions
        report = verify_log(kernel.database, settings.data, heads_file=kept, anchor_file=settings.audit.anchor_file, versions=versions)
        remember_report(kernel.database, report)
    return report, kernel.keyless


def _print(report: VerifyReport, as_json: bool, keyless: str = "") -> int:
    if as_json:
        click.echo(json.dumps({**asdict(report), "versions_compared": not keyless}, indent=2))
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


def _verify_proof(proof: Path, heads: Path | None, key: str) -> int:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from chartloop.kernel.audit.heads import read_heads
    from chartloop.kernel.audit.proving import check_proof

    if heads is None and not key:
        raise click.UsageError("Say with --heads or --key what you trust: a proof alone proves that somebody can compute.")
    try:
        trusted = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)) if key else None
    except ValueError:
        raise click.UsageError("--key is the log's Ed25519 public key, 64 hexadecimal digits.") from None
    click.echo(check_proof(proof.read_text("utf-8"), read_heads(heads) if heads else [], trusted))
    return 0


def _verify_export(exported: Path, heads: Path | None) -> int:
    from chartloop.kernel.audit.outside import check_export, read_lines

    if heads is None:
        raise click.UsageError("Say with --heads which tree heads you trust: whoever holds the key could have made the whole file.")
    problems = check_export(str(exported), read_lines(heads.read_text("utf-8", errors="replace")))
    for problem in problems or ["the exported audit log holds"]:
        click.echo(problem)
    return FAILED if problems else 0
