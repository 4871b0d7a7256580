"""`chartloop claims`: where a claim is, and an operator's word on an unknown outcome."""

from __future__ import annotations

import json
from pathlib import Path

import click

from chartloop.cli.options import data_option, json_option, settings_of


@click.group()
def claims() -> None:
    """Follow claims to their payment."""


@claims.command()
@data_option
@json_option
@click.argument("wanted", metavar="ID")
def trace(data: Path | None, as_json: bool, wanted: str) -> None:
    """Print the way of a claim: note, Task, Claim, ISA13, 999, 277CA, 835, payment.

    ID is the id of a DocumentReference, Task or Claim, a patient control number, or an ISA13.
    """
    from chartloop.app import open_door, open_kernel
    from chartloop.engines import subject
    from chartloop.kernel.access.scope import Scope
    from claims.trace import trace as trace_claim

    with open_kernel(settings_of(data)) as kernel:
        steps = trace_claim(open_door(kernel).repository, Scope(subject(kernel, "claims"), "read"), kernel.database, wanted)
    if as_json:
        click.echo(json.dumps({"steps": [step._asdict() for step in steps]}, indent=2))
        return
    width = max(len(step.kind) for step in steps)
    for step in steps:
        click.echo(f"{step.kind:<{width}}  {step.id:<48}  {step.state:<12}  {step.time:<24}  {step.detail}".rstrip())


@claims.command()
@data_option
@click.argument("number", type=int, metavar="INTERCHANGE")
@click.argument("verdict", type=click.Choice(["received", "resend", "lost"]))
def outcome(data: Path | None, number: int, verdict: str) -> None:
    """Say what became of an interchange whose outcome is unknown.

    received: the payer has it. resend: the payer does not have it; it is sent again under the same number. lost: give it up.
    """
    from chartloop.app import open_kernel
    from claims.trace import outcome as decide

    with open_kernel(settings_of(data)) as kernel:
        row = decide(kernel.database, kernel.outbox, number, verdict)
    click.echo(f"interchange {row.id} (ISA13 {row.isa13}) is {row.state}")


@claims.command()
@data_option
@json_option
def payers(data: Path | None, as_json: bool) -> None:
    """List payers: breakers, what waits and since when, calls and what went back to the queue."""
    from chartloop.app import open_kernel
    from claims.payers.limits import limits_of
    from claims.payers.overview import overview

    settings = settings_of(data)
    with open_kernel(settings) as kernel, kernel.database.read() as session:
        states = overview(session, limits_of(settings.claims))
    if as_json:
        click.echo(json.dumps({"payers": [state._asdict() for state in states]}, indent=2))
        return
    for state in states:
        waits = ", ".join(f"{number} {name}" for name, number in state.waiting.items() if number) or "nothing waits"
        oldest = f", the oldest for {state.oldest_s:.0f} s" if state.oldest_s else ""
        click.echo(f"{state.payer:<16}  sending {state.sending:<9}  mailbox {state.mailbox:<9}  {waits}{oldest}; put back {state.shed} times")
    if not states:
        click.echo("nothing was ever sent to a payer")
