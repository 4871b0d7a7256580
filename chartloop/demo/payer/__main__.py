"""Run the simulated payers: `python -m chartloop.demo.payer --port 8075 --data DIR PAYER_ID=NAME …`."""

from __future__ import annotations

import signal
from pathlib import Path

import click

from chartloop.demo.payer.server import PayerServer


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=int, required=True)
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), required=True, help="Where the payers keep what they remember.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.argument("payers", nargs=-1, required=True)
def main(host: str, port: int, data: Path, seed: int, payers: tuple[str, ...]) -> None:
    """Answer X12 claims as payers do: accept, reject, pay, underpay, split, deny, delay, fail."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends it as Ctrl-C does
    named = dict(payer.split("=", 1) for payer in payers)
    with PayerServer((host, port), named, data / "payer.sqlite3", seed) as server:
        try:
            server.serve_forever(poll_interval=0.1)
        except KeyboardInterrupt:
            server.stopping.set()


if __name__ == "__main__":
    main()
