"""`chartloop fhir`: what an operator does with the FHIR store itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chartloop.cli.options import data_option, json_option, settings_of
from chartloop.kernel.clock import iso

if TYPE_CHECKING:
    from fhir_server.reindexing.jobs import Job


@click.group()
def fhir() -> None:
    """Look after the FHIR store."""


@fhir.group()
def reindex() -> None:
    """Jobs that bring the search index up to date."""


@reindex.command("start")
@data_option
@click.option("--type", "type_", default="", help="Resource type.  [default: all]")
def start(data: Path | None, type_: str) -> None:
    """Make the index rows of a type, or of all, anew; the processes that serve carry it on."""
    from chartloop.app import open_door, open_kernel
    from chartloop.engines import subject
    from chartloop.kernel.access.scope import Scope
    from fhir_server.type_ids import TYPE_IDS

    if type_ and type_ not in TYPE_IDS:
        raise click.UsageError(f"{type_} is no resource type.")
    with open_kernel(settings_of(data)) as kernel:
        jobs = open_door(kernel).repository.reindex(Scope(subject(kernel, "reindex"), "reindex"), type_)
    click.echo(_line(jobs[0]))


@reindex.command("list")
@data_option
@json_option
def list_(data: Path | None, as_json: bool) -> None:
    """List the latest jobs and how far they are, the newest first."""
    from chartloop.app import open_door, open_kernel
    from chartloop.engines import subject
    from chartloop.kernel.access.scope import Scope

    with open_kernel(settings_of(data)) as kernel:
        jobs = open_door(kernel).repository.reindexing(Scope(subject(kernel, "reindex"), "reindex"))
    if as_json:
        click.echo(json.dumps([job._asdict() for job in jobs], indent=2))
        return
    for job in jobs:
        click.echo(_line(job))
    if not jobs:
        click.echo("no jobs")


def _line(job: Job) -> str:
    about = " ".join(job.types) or "everything"
    return f"{job.id}  {iso(job.requested)}  {job.kind} {about}: {job.state}, {job.done} of {job.total} done, {job.changed} rows written or removed {job.error}".rstrip()
