"""`chartloop config`: the effective settings and where each comes from."""

from __future__ import annotations

import json
from pathlib import Path

import click

from chartloop.cli.options import data_option, json_option, settings_of
from chartloop.kernel.config import explain


@click.command()
@data_option
@json_option
def config(data: Path | None, as_json: bool) -> None:
    """Print every setting with its value and origin; secrets are masked."""
    rows = explain(settings_of(data), {"data": data} if data else {})
    if as_json:
        click.echo(json.dumps([{"name": name, "value": value, "origin": origin} for name, value, origin in rows], indent=2))
        return
    width = max(len(name) for name, _, _ in rows)
    for name, value, origin in rows:
        click.echo(f"{name:<{width}}  {value or '-'}  ({origin})")
