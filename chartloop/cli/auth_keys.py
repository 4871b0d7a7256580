"""`chartloop auth keys`: what signs id_tokens."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from chartloop.cli.options import data_option, json_option, settings_of


@click.group()
def keys() -> None:
    """Keys that sign id_tokens."""


@keys.command("list")
@data_option
@json_option
def list_(data: Path | None, as_json: bool) -> None:
    """List the keys, newest first: what signs, what is still published, what has ended."""
    from chartloop.kernel.clock import iso
    from smart_apps.server.identity import Identity

    found = Identity(settings_of(data).keys).generations()
    if as_json:
        click.echo(json.dumps([asdict(each) for each in found], indent=2))
        return
    for each in found:
        state = "signs" if each.signs else "published" if each.published else "ended"
        click.echo(f"{iso(each.made * 1_000_000)[:19] if each.made else 'first use':20} {state:10} {' '.join(each.kids)}")


@keys.command()
@data_option
def rotate(data: Path | None) -> None:
    """Sign with new keys from now on; the old ones stay published for a day."""
    from chartloop.app import open_kernel
    from chartloop.kernel.access.subject import Subject
    from smart_apps.server.auditing import record
    from smart_apps.server.identity import Identity

    settings = settings_of(data)
    with open_kernel(settings) as kernel:
        made = Identity(settings.keys).rotate()
        said = record("key-rotated", Subject(id="cli", role=""), reason=" ".join(made.kids))
        kernel.database.write(lambda tx: kernel.audit.change(tx, said))
    click.echo(f"signing with {made.kids[0]}")
