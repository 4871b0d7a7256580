"""Backups: how fast one is made, verified and restored, and how fast a store is copied to another database.

Run: python -m bench.bench_backup [--patients 2000] [--database postgresql://… --empty postgresql://…]
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import msgspec

from bench.fhir_app import OPERATOR
from bench.machine import fdatasyncs_per_second, machine
from bench.population import bundles
from chartloop.app import open_door, open_kernel
from chartloop.backup.counting import rows_by_table
from chartloop.backup.creating import create
from chartloop.backup.restoring import restore
from chartloop.backup.verifying import verify
from chartloop.copying import copy_store
from chartloop.kernel import clock
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.sealer import Sealer
from chartloop.kernel.config import Settings, load_settings
from chartloop.kernel.db import open_database
from chartloop.kernel.keys import signing_key

WHO = Subject(id="bench", role="", purpose="HOPERAT")


def fill(settings: Settings, patients: int) -> int:
    """Load charts and seal the log; return the rows of all tables."""
    with open_kernel(settings) as kernel:
        repository, scope = open_door(kernel).repository, Scope(OPERATOR, "bench", "bench-request")
        for bundle in bundles(7, 0, patients):
            repository.transaction(scope, msgspec.json.decode(bundle))
        Sealer(kernel.database, settings.data, signing_key(settings.keys)).seal()
        with kernel.database.read() as session:
            return sum(rows_by_table(session).values())


def size(place: Path) -> int:
    return sum(file.stat().st_size for file in place.rglob("*") if file.is_file())


def step(name: str, rows: int, volume: int, work: Callable[[], Any]) -> Any:
    """Do something once, and print how fast."""
    begun = clock.perf_s()
    done = work()
    took = clock.perf_s() - begun
    click.echo(f"{name}: {took:.2f} s, {volume / took / 1e6:,.0f} MB/s, {rows / took:,.0f} rows/s")
    return done


@click.command()
@click.option("--patients", default=2000, show_default=True, help="Charts of 12 resources.")
@click.option("--database", default="", help="postgresql://… of an empty database; the store is copied there.")
@click.option("--empty", default="", help="postgresql://… of another empty one; a backup of the first is restored there.")
@click.option("--clients", type=click.Path(path_type=Path), default=None, help="Directory of pg_dump and pg_restore.")
def main(patients: int, database: str, empty: str, clients: Path | None) -> None:
    """Run all of it and print the figures."""
    click.echo(f"{machine()}; disk {fdatasyncs_per_second():.0f} fdatasync/s")
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        settings = load_settings({"data": home / "data"})
        rows = fill(settings, patients)
        volume = size(home / "data")
        click.echo(f"SQLite: {patients:,} patients, {rows:,} rows, {volume / 1e6:,.0f} MB")
        backup_and_back(settings, home / "sqlite", rows, volume, load_settings({"data": home / "restored"}))
        if database:
            copied = step("db copy, SQLite to PostgreSQL", rows, volume, lambda: copy_store(settings, settings.database_url, database, WHO))
            click.echo(f"  {copied.problems or 'holds'}")
            more = {"database.client_directory": clients} if clients else {}
            with closing(open_database(database)) as opened:
                row = opened.one("SELECT pg_database_size(current_database())")
            volume = int(row[0]) if row else 0
            target = load_settings({"data": home / "there", "database.url": empty, **more})
            backup_and_back(load_settings({"data": home / "data", "database.url": database, **more}), home / "postgresql", rows, volume, target if empty else None)


def backup_and_back(settings: Settings, place: Path, rows: int, volume: int, target: Settings | None) -> None:
    """Make, verify and restore one backup."""
    kind = "SQLite" if settings.embedded else "PostgreSQL"
    manifest, _ = step(f"backup create, {kind}", rows, volume, lambda: create(settings, place, WHO))
    click.echo(f"  {manifest.bytes / 1e6:,.0f} MB")
    click.echo(f"  {step(f'backup verify, {kind}', rows, volume, lambda: verify(settings, place)).problems or 'holds'}")
    if target is not None:
        click.echo(f"  {step(f'backup restore, {kind}', rows, volume, lambda: restore(target, place, WHO, keys=settings.keys)).problems or 'holds'}")


if __name__ == "__main__":
    main()
