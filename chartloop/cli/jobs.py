"""`chartloop jobs`: what is done on a schedule, when, and what came of it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chartloop.cli.options import data_option, json_option, settings_of
from chartloop.kernel.clock import iso

if TYPE_CHECKING:
    from chartloop.app import Kernel
    from chartloop.kernel.jobs.table import JobRow

_LOOK_S = 0.5


@click.group()
def jobs() -> None:
    """Look after what is done on a schedule."""


@jobs.command("list")
@data_option
@json_option
def list_(data: Path | None, as_json: bool) -> None:
    """List jobs: schedule, last run and what came of it, next run."""
    from chartloop.app import open_kernel
    from chartloop.kernel.jobs.table import job_rows

    with open_kernel(settings_of(data)) as kernel, kernel.database.read() as session:
        rows = job_rows(session)
    if as_json:
        click.echo(json.dumps([_said(row) for row in rows], indent=2))
        return
    for row in rows:
        said = _said(row)
        state = "paused" if row.paused else f"next {said['next_run']}"
        failed = f" ({row.reason}, {row.attempt} in a row)" if row.attempt else ""
        last = f"{said['outcome']} {said['last_run']} in {row.duration_us / 1e6:.2f} s{failed}" if row.last_run else "never run"
        click.echo(f"{row.name:<18}  {row.schedule:<32}  {state:<30}  {last}")
    if not rows:
        click.echo("no jobs yet: they are known once a server or a worker has run")


@jobs.command()
@data_option
@click.argument("name")
@click.option("--wait", "wait_s", type=click.FloatRange(min=0), default=0.0, show_default=True, help="Seconds to wait for its end; the exit status then says how it ended.")
def run(data: Path | None, name: str, wait_s: float) -> int:
    """Have a job run now, also a paused one, by the server or worker that runs the jobs."""
    from chartloop.app import open_kernel
    from chartloop.cli.operator import operator
    from chartloop.kernel.operating import Operating

    with open_kernel(settings_of(data)) as kernel:
        asked = Operating(kernel.database, kernel.audit, kernel.dead_letters).run_job(operator(), name)
        if not wait_s:
            click.echo(f"{name} will be run by the process that runs the jobs")
            return 0
        return _outcome(kernel, name, asked, wait_s)


@jobs.command()
@data_option
@click.argument("name")
def pause(data: Path | None, name: str) -> None:
    """Let a job rest until it is resumed; a run that is under way ends as it would."""
    from chartloop.cli.operator import operating, operator

    with operating(data) as decisions:
        decisions.pause_job(operator(), name)
    click.echo(f"{name} is paused")


@jobs.command()
@data_option
@click.argument("name")
def resume(data: Path | None, name: str) -> None:
    """Let a paused job go on; what came due meanwhile is run once."""
    from chartloop.cli.operator import operating, operator

    with operating(data) as decisions:
        decisions.resume_job(operator(), name)
    click.echo(f"{name} goes on")


def _outcome(kernel: Kernel, name: str, asked: int, wait_s: float) -> int:
    from chartloop.kernel import clock
    from chartloop.kernel.jobs.table import DONE, RUNNING, job_row

    end_s = clock.perf_s() + wait_s
    while clock.perf_s() < end_s:
        with kernel.database.read() as session:
            row = job_row(session, name)
        if row.last_run >= asked and row.outcome != RUNNING:
            click.echo(f"{name} {row.outcome} in {row.duration_us / 1e6:.2f} s{f': {row.reason}' if row.reason else ''}")
            return 0 if row.outcome == DONE else 1
        time.sleep(_LOOK_S)
    click.echo(f"{name} did not end within {wait_s:g} s; it stays asked for. Does a server or a worker run?", err=True)
    return 1


def _said(row: JobRow) -> dict[str, object]:
    instants = {name: iso(value) if (value := getattr(row, name)) else "" for name in ("next_run", "last_run", "asked")}
    return {**row._asdict(), **instants, "paused": bool(row.paused)}
