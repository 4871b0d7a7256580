"""`chartloop audit export`, `prove` and `anchor`: the log for somebody outside, and what it stands on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chartloop.cli.operator import operator
from chartloop.cli.options import data_option, settings_of

if TYPE_CHECKING:
    from chartloop.app import Kernel

EXPORT = "audit-export"


@click.command()
@data_option
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def export(data: Path | None, file: Path) -> None:
    """Write the sealed log into one FILE for an outside auditor: records, tree heads, public key.

    `python FILE TRUSTED_HEADS.jsonl` checks it anywhere, without this product. It holds what the log holds: references of patients, queries.
    """
    from chartloop.app import open_kernel
    from chartloop.kernel.audit.exporting import about_to_export
    from chartloop.kernel.audit.exporting import export as write
    from chartloop.kernel.audit.journal import audit_directory

    with open_kernel(settings_of(data)) as kernel, kernel.database.read(snapshot=True) as session:
        leaving = about_to_export(session)
        _record(kernel, f"audit/records/1-{leaving.size}", leaving.patients)
        write(session, audit_directory(kernel.settings.data), file, leaving.size, _public_key(kernel))
    click.echo(f"{file}: {leaving.size:,} records about {len(leaving.patients):,} patients")


@click.command()
@data_option
@click.option("--record", "seq", type=click.IntRange(1), default=None, help="Number of a record: prove that it is in the log.")
@click.option("--from", "first", type=click.IntRange(1), default=None, help="Size of an earlier tree head: prove that the log only grew since.")
@click.option("--head", "size", type=click.IntRange(1), default=None, help="Size of the tree head to prove under.  [default: the newest]")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default=None, help="File for the proof.  [default: print it]")
def prove(data: Path | None, seq: int | None, first: int | None, size: int | None, out: Path | None) -> None:
    """Make a proof that `chartloop audit verify --proof` checks without the database (RFC 6962)."""
    from chartloop.app import open_kernel
    from chartloop.kernel.audit.journal import audit_directory
    from chartloop.kernel.audit.proving import prove_growth, prove_record
    from chartloop.kernel.audit.reading import records_at
    from chartloop.kernel.audit.record import read_kept

    if (seq is None) == (first is None):
        raise click.UsageError("Say one of --record and --from.")
    with open_kernel(settings_of(data)) as kernel, kernel.database.read(snapshot=True) as session:
        key, directory = _public_key(kernel), audit_directory(kernel.settings.data)
        if seq is not None:
            proof = prove_record(session, directory, seq, size, key)
            kept = read_kept(records_at(session, directory, [seq])[0].body)
            _record(kernel, f"audit/records/{seq}", kept.patients if kept else ())
        else:
            proof = prove_growth(session, first or 0, size, key)
    text = json.dumps(proof, indent=2)
    if out is None:
        click.echo(text)
    else:
        out.write_text(f"{text}\n", encoding="utf-8")
        click.echo(f"{out}: a proof of {len(proof['path'])} hashes")


@click.command()
@data_option
@click.option("--reset", is_flag=True, help="Begin anew in the places for tree heads, after the old files were moved away and kept.")
@click.option("--reason", default="", help="Why, for the log.")
def anchor(data: Path | None, reset: bool, reason: str) -> int:
    """Say whether the log and the places where its tree heads are kept agree; exit 1 where they do not.

    Where they do not, nothing is sealed until somebody has looked: see docs/howto/audit.md.
    """
    from chartloop.app import open_kernel
    from chartloop.cli.main import FAILED, WRONG_USAGE
    from chartloop.kernel.audit import anchors
    from chartloop.kernel.audit.journal import audit_directory
    from chartloop.kernel.audit.record import AuditRecord
    from chartloop.kernel.db_session import Tx

    if reset and not reason.strip():
        click.echo("Say with --reason why the places begin anew.", err=True)
        return WRONG_USAGE
    settings = settings_of(data)
    files = anchors.heads_files(audit_directory(settings.data), settings.audit.heads_file, settings.audit.anchor_file)
    with open_kernel(settings) as kernel:

        def begin_anew(tx: Tx) -> None:
            anchors.reset(tx)
            kernel.audit.change(tx, AuditRecord("E", anchors.RESET, "0", operator(), ("audit/heads",), (), reason=reason[:500]))

        if reset:
            kernel.database.write(begin_anew)
        problems = anchors.Anchors(files).problems(kernel.database)
    for file in files:
        last = anchors.last_head(file)
        click.echo(f"{file}: {f'tree head {last.size}' if last else 'empty'}")
    for problem in problems:
        click.echo(problem)
    return FAILED if problems else 0


def _public_key(kernel: Kernel) -> str:
    from chartloop.kernel.keys import signing_key

    return signing_key(kernel.settings.keys).public_key().public_bytes_raw().hex()


def _record(kernel: Kernel, target: str, patients: tuple[str, ...]) -> None:
    """Record what leaves, before it does."""
    from chartloop.kernel.audit.record import AuditRecord

    kernel.audit.access(AuditRecord("R", EXPORT, "0", operator(), (target,), patients))
