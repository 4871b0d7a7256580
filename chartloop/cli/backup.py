"""`chartloop backup`: make, verify and restore backups."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chartloop.cli.main import FAILED
from chartloop.cli.operator import operator
from chartloop.cli.options import data_option, json_option, settings_of

if TYPE_CHECKING:
    from chartloop.backup.manifest import Manifest
    from chartloop.kernel.audit.verify import VerifyReport

_BACKUP = click.Path(path_type=Path, file_okay=False, exists=True)
_NEW = click.Path(path_type=Path)


@click.group()
def backup() -> None:
    """Look after backups; see docs/howto/restore.md."""


@backup.command()
@data_option
@json_option
@click.argument("directory", type=_NEW)
def create(data: Path | None, as_json: bool, directory: Path) -> None:
    """Make a backup at DIRECTORY, which must not be there yet, while the server serves.

    Keys are not in it: the list of those to keep apart is printed, and stands in the manifest.
    """
    from chartloop.backup.creating import create as make

    manifest, digest = make(settings_of(data), directory, operator())
    if as_json:
        click.echo(json.dumps({**asdict(manifest), "sha256": digest}, indent=2))
        return
    click.echo(f"{directory}: {_summary(manifest)}")
    click.echo(f"SHA-256 of its manifest: {digest}")
    for name in (*sorted(manifest.keys["files"]), *(f"the master key {each}" for each in manifest.keys["master"])):
        click.echo(f"keep apart: {name}")
    for sentence in manifest.left_out:
        click.echo(sentence)


@backup.command()
@data_option
@json_option
@click.argument("directory", type=_BACKUP)
def verify(data: Path | None, as_json: bool, directory: Path) -> int:
    """Check the backup at DIRECTORY: every digest, every count, and the audit proof on the copy; nothing in it is changed.

    Exit 0 when everything holds. The master key is not needed; where it is at hand, stored versions are compared with their records too.
    """
    from chartloop.backup.verifying import verify as check

    found = check(settings_of(data), directory)
    return _told(found.manifest, found.problems, found.notes, found.log, as_json, "the backup holds", "the backup does NOT hold")


@backup.command()
@data_option
@json_option
@click.option("--keys", type=_BACKUP, help="Directory where the key files were kept apart; they are copied to the new place.")
@click.option("--keys-later", is_flag=True, help="Go on though keys are missing; they must be there before the first start.")
@click.argument("directory", type=_BACKUP)
def restore(data: Path | None, as_json: bool, keys: Path | None, keys_later: bool, directory: Path) -> int:
    """Restore the backup at DIRECTORY to where --data and database.url say; both must be empty.

    Then counts are compared with the manifest and the audit log is verified. Exit 0 when everything is there and holds.
    """
    from chartloop.backup.restoring import restore as put

    found = put(settings_of(data), directory, operator(), keys=keys, keys_later=keys_later)
    return _told(found.manifest, found.problems, found.notes, found.log, as_json, "everything was restored and holds", "what was restored does NOT hold")


def _told(
    manifest: Manifest, problems: tuple[str, ...], notes: tuple[str, ...], log: VerifyReport | None, as_json: bool, good: str, bad: str
) -> int:
    if as_json:
        said = {"ok": not problems, "made": manifest.made, "problems": problems, "notes": notes, "audit": asdict(log) if log else None}
        click.echo(json.dumps(said, indent=2))
        return FAILED if problems else 0
    click.echo(_summary(manifest))
    if log is not None:
        click.echo(f"audit log: {log.sealed:,} records under {log.heads:,} signed tree heads, {log.unsealed:,} waiting for the sealer")
    for sentence in (*notes, *problems):
        click.echo(sentence)
    click.echo(bad if problems else good)
    return FAILED if problems else 0


def _summary(manifest: Manifest) -> str:
    resources, rows = sum(manifest.resources.values()), sum(manifest.tables.values())
    return (
        f"{manifest.kind}, schema {manifest.schema}, made {manifest.made}: {resources:,} resources, {rows:,} rows, "
        f"{len(manifest.files):,} files, {manifest.bytes / 1_000_000:,.1f} MB"
    )
