"""`chartloop demo`: the product on embedded defaults, from a note to a payment and from an observation to a card."""

from __future__ import annotations

from pathlib import Path

import click

from chartloop.cli.main import FAILED


@click.command()
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), default=Path("var/demo"), show_default=True, help="Directory of the demo; one that holds a demo is continued.")
@click.option("--once", is_flag=True, help="Drive the loop to its end with a scripted coder and stop; exit 0 only if every step held.")
@click.option("--summary", type=click.Path(path_type=Path, dir_okay=False), default=None, help="Write what happened as JSON.")
@click.option("--bundles", type=click.Path(path_type=Path, file_okay=False, exists=True), default=None, help="Load FHIR transaction bundles first (.json, .gz, .bz2).")
@click.option("--port", type=int, default=8080, show_default=True, help="HTTP port; another one if it is taken.")
@click.option("--mllp-port", type=int, default=2575, show_default=True, help="MLLP port; another one if it is taken.")
@click.option("--apps-port", type=int, default=8501, show_default=True, help="Port of the review app; another one if it is taken.")
@click.option("--seed", type=int, default=20261101, show_default=True, help="Seed of patients, notes and payers.")
def demo(data: Path, once: bool, summary: Path | None, bundles: Path | None, port: int, mllp_port: int, apps_port: int, seed: int) -> int:
    """Run everything on this machine: SQLite, the table bus, a simulated payer.

    Without --once it then prints a link per kind of user and runs until Ctrl-C.
    """
    from chartloop.demo.run import Options, run

    options = Options(data.resolve(), once=once, summary=summary, bundles=bundles, port=port, mllp_port=mllp_port, apps_port=apps_port, seed=seed)
    return 0 if run(options) else FAILED
