"""`chartloop omop`: the research database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chartloop.cli.options import data_option, json_option, settings_of

if TYPE_CHECKING:
    from omop_bridge.coverage import TableCoverage
    from omop_bridge.runs import Run


@click.group()
def omop() -> None:
    """Look after the research database (OMOP CDM 5.4)."""


@omop.command()
@data_option
@json_option
@click.option("--wait", "wait_s", type=click.FloatRange(0), default=600.0, show_default=True, help="Longest time to wait for the last event, in seconds.")
def sync(data: Path | None, as_json: bool, wait_s: float) -> None:
    """Let the research database catch up with the store, once; the first time, build it.

    On SQLite a running server follows by itself: this then waits until it has.
    """
    from chartloop.research import sync as catch_up

    _print_runs(catch_up(settings_of(data), wait_s), as_json)


@omop.command()
@data_option
@json_option
def rebuild(data: Path | None, as_json: bool) -> None:
    """Build the research database anew from the store; readers see the old rows until the new ones are there.

    On SQLite the server must be stopped first.
    """
    from chartloop.research import rebuild as build_anew

    _print_runs([build_anew(settings_of(data))], as_json)


@omop.command()
@data_option
@json_option
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000), help="How many codes without a concept to list.")
def coverage(data: Path | None, as_json: bool, limit: int) -> None:
    """Print rows of every table, the share with a concept, and the codes that lack one."""
    from omop_bridge.coverage import coverage as measure
    from omop_bridge.coverage import dangling, unmapped
    from omop_bridge.database import open_cdm

    database = open_cdm(settings_of(data).omop_url)
    try:
        with database.read() as session:
            tables, codes, lost = measure(session), unmapped(session, limit), dangling(session)
    finally:
        database.close()
    if as_json:
        report = {
            "tables": [{"table": t.table, "rows": t.rows, "fields": [field.shown() for field in t.fields]} for t in tables],
            "unmapped": [code._asdict() for code in codes],
            "dangling": [reference._asdict() for reference in lost],
        }
        click.echo(json.dumps(report, indent=2))
        return
    for table in tables:
        _print_table(table)
    click.echo(f"{sum(table.rows == 0 for table in tables)} tables are empty")
    if codes:
        click.echo("\nCodes without a concept (the vocabulary is what the code looks like):")
    for code in codes:
        click.echo(f"{code.rows:>10,}  {code.vocabulary or '?':<13}  {code.code:<24}  {code.table}.{code.field}")
    for reference in lost:
        click.echo(f"{reference.rows:,} rows: {reference.table}.{reference.field} names no {reference.target}", err=True)


def _print_runs(runs: list[Run], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"runs": [run.shown() for run in runs]}, indent=2))
        return
    for run in runs:
        click.echo(f"{run.kind}: {run.resources:,} resources gave {run.rows:,} rows (vocabulary: {run.vocabulary})")
    for type_, reasons in runs[-1].counts.items():
        for reason, count in reasons.items():
            click.echo(f"{count:>10,}  {type_} left out: {reason}")


def _print_table(table: TableCoverage) -> None:
    if not table.rows:
        return
    click.echo(f"{table.table:<24}{table.rows:>10,} rows")
    for field in table.fields:
        if field.share is not None:
            click.echo(f"    {field.field:<32}{field.mapped:>10,} of {field.coded:,} mapped, {field.share:.1%}")
