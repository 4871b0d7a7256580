"""`chartloop serve`, `work`, `mllp` and `apps`: the processes that keep running."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from chartloop.cli.options import data_option, settings_of

host_option = click.option("--host", default=None, help="Address to listen on.  [default: 127.0.0.1]")


@click.command()
@data_option
@host_option
@click.option("--port", type=int, default=None, help="HTTP port.  [default: 8080]")
@click.option("--mllp-port", type=int, default=None, help="MLLP port, on SQLite.  [default: 2575]")
def serve(data: Path | None, host: str | None, port: int | None, mllp_port: int | None) -> None:
    """Serve FHIR at /fhir, CDS Hooks at /cds-services, the demo EHR at /ehr, health and metrics.

    On SQLite this one process also runs the consumers and the MLLP listener: the store has one writing process.
    """
    from chartloop.serving import serve_http

    overrides = {"server__host": host, "server__port": port, "mllp__host": host, "mllp__port": mllp_port}
    serve_http(settings_of(data, **overrides), _given(data, overrides))


@click.command()
@data_option
def work(data: Path | None) -> None:
    """Run the consumers alone; PostgreSQL only."""
    from chartloop.serving import run_worker

    run_worker(settings_of(data))


@click.command()
@data_option
@host_option
@click.option("--port", type=int, default=None, help="MLLP port.  [default: 2575]")
def mllp(data: Path | None, host: str | None, port: int | None) -> None:
    """Run the MLLP listener alone; PostgreSQL only."""
    from chartloop.serving import run_listener

    run_listener(settings_of(data, mllp__host=host, mllp__port=port))


@click.command()
@data_option
@host_option
@click.option("--port", type=int, default=8501, show_default=True, help="Port of the apps.")
@click.option("--issuer", multiple=True, help="FHIR base URL of an EHR that may launch it.  [default: this settings' own server]")
def apps(data: Path | None, host: str | None, port: int, issuer: tuple[str, ...]) -> None:
    """Run the review app and the explanation page, plain SMART clients.

    Browsers reach them where apps.review_url and apps.explainer_url say.
    """
    from chartloop.serving import run_apps

    run_apps(settings_of(data), host or "127.0.0.1", port, issuer)


def _given(data: Path | None, overrides: Mapping[str, object]) -> dict[str, str]:
    """What the command line said, as the environment of the server's own processes."""
    said = {f"CHARTLOOP_{name.upper()}": str(value) for name, value in overrides.items() if value is not None}
    return said if data is None else {**said, "CHARTLOOP_DATA": str(data.resolve())}
