"""`chartloop db`: the schema of the database, and moving a store to another one."""

from __future__ import annotations

import json
from pathlib import Path

import click

from chartloop.cli.main import FAILED
from chartloop.cli.operator import operator
from chartloop.cli.options import data_option, json_option, settings_of


@click.group()
def db() -> None:
    """Look after the database."""


@db.command()
@data_option
@json_option
def status(data: Path | None, as_json: bool) -> int:
    """Say which schema the database has and whether this release works on it; exit 1 where it does not.

    Nothing is changed.
    """
    from chartloop.schema import said_of, schema_status

    found = schema_status(settings_of(data).database_url)
    if as_json:
        click.echo(json.dumps({**found._asdict(), "fits": found.fits}, indent=2))
    else:
        click.echo(said_of(found))
        for revision in found.missing:
            click.echo(f"missing: {revision}")
    return 0 if found.fits else FAILED


@db.command("migrate")
@data_option
def migrate_(data: Path | None) -> None:
    """Bring the database to this release's schema; beside running servers on PostgreSQL, one migration at a time."""
    from chartloop.migrate import migrate
    from chartloop.schema import TOO_NEW, said_of, schema_status

    settings = settings_of(data)
    before = schema_status(settings.database_url)
    if before.state == TOO_NEW:
        raise click.ClickException(said_of(before))
    if before.missing:
        migrate(settings.database_url, lock_timeout_s=settings.database.migrate_lock_timeout_s)
    click.echo(said_of(schema_status(settings.database_url)))


@db.command()
@data_option
@json_option
@click.option("--from", "source", required=True, metavar="URL", help="Where the store is: sqlite:///path or postgresql://…")
@click.option("--to", "target", required=True, metavar="URL", help="Where it goes: an empty database of either kind.")
def copy(data: Path | None, as_json: bool, source: str, target: str) -> int:
    """Copy the store to another database, with the server stopped; afterwards database.url names the new one.

    Journal, keys and files stay in the data directory. Counts of every table are compared, and the audit log is verified on both sides.
    """
    from chartloop.copying import copy_store

    done = copy_store(settings_of(data), source, target, operator())
    if as_json:
        click.echo(json.dumps({"ok": done.ok, "tables": done.tables, "problems": done.problems}, indent=2))
    else:
        click.echo(f"{sum(done.tables.values()):,} rows of {len(done.tables)} tables, {done.records:,} sealed audit records")
        for problem in done.problems:
            click.echo(problem)
        click.echo("the copy holds: set database.url to it" if done.ok else "the copy does NOT hold: go on with the old database")
    return 0 if done.ok else FAILED
