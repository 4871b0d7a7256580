"""Options that many commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from chartloop.kernel.config import Settings, load_settings

data_option = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Directory of the embedded store, the audit journal and the keys.  [default: CHARTLOOP_DATA or var]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


def settings_of(data: Path | None, **overrides: Any) -> Settings:
    """Settings with what the command line said; a None was not said."""
    given = {"data": data, **{name.replace("__", "."): value for name, value in overrides.items()}}
    return load_settings({name: value for name, value in given.items() if value is not None})


