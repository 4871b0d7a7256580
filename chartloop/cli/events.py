"""`chartloop events`: dead letters, a replay, and what an operator does with them; the topic where there is one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chartloop.cli.options import data_option, json_option, settings_of
from chartloop.kernel.clock import iso

if TYPE_CHECKING:
    from chartloop.kernel.dead_letters import DeadLetter


@click.group()
def events() -> None:
    """Look after events."""


@events.group()
def dlq() -> None:
    """Dead letters: events that a consumer gave up."""


@dlq.command("list")
@data_option
@json_option
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000))
def list_(data: Path | None, as_json: bool, limit: int) -> None:
    """List dead letters, the newest first."""
    from chartloop.app import open_kernel

    with open_kernel(settings_of(data)) as kernel:
        letters = kernel.dead_letters.list(limit)
    if as_json:
        click.echo(json.dumps([_row(letter) for letter in letters], indent=2))
        return
    for letter in letters:
        click.echo(f"{letter.id}  {iso(letter.recorded)}  {letter.consumer}  {letter.type} {letter.subject}  {letter.attempts} attempts: {letter.reason}")
    if not letters:
        click.echo("no dead letters")


@dlq.command()
@data_option
@click.argument("letter_id")
def show(data: Path | None, letter_id: str) -> None:
    """Print one dead letter as JSON."""
    from chartloop.app import open_kernel

    with open_kernel(settings_of(data)) as kernel:
        click.echo(json.dumps(_row(kernel.dead_letters.show(letter_id)), indent=2))


@dlq.command()
@data_option
@click.argument("letter_id")
def retry(data: Path | None, letter_id: str) -> None:
    """Let the consumer try again; later events of the same key follow."""
    from chartloop.cli.operator import operating, operator

    with operating(data) as decisions:
        decisions.retry(operator(), letter_id)
    click.echo(f"{letter_id} will be tried again")


@dlq.command()
@data_option
@click.argument("letter_id")
@click.confirmation_option(prompt="The event will never be handled. Drop it?")
def drop(data: Path | None, letter_id: str) -> None:
    """Give an event up for good; later events of the same key go on."""
    from chartloop.cli.operator import operating, operator

    with operating(data) as decisions:
        decisions.drop(operator(), letter_id)
    click.echo(f"{letter_id} was dropped")


@events.command()
@data_option
@click.option("--consumer", required=True, help="Who gets the events again; `chartloop events consumers` names them.")
@click.option("--since", required=True, metavar="INSTANT", help="From when on, such as 2026-11-22T08:00:00Z.")
@click.option("--type", "types", multiple=True, help="Only events of this type; may be given several times.  [default: all that the consumer wants]")
@click.confirmation_option(prompt="The consumer will handle these events again. Go on?")
def replay(data: Path | None, consumer: str, since: str, types: tuple[str, ...]) -> None:
    """Deliver again to one consumer what it has had: after its code or its data were mended.

    Events are kept for worker.retention_s. What a consumer does by itself is done again; what it marks in other systems is theirs.
    """
    from chartloop.app import open_kernel
    from chartloop.cli.operator import operator
    from chartloop.engines import groups
    from chartloop.kernel.clock import parse_iso
    from chartloop.kernel.events import EVENT_TYPES
    from chartloop.kernel.operating import Operating

    if unknown := sorted(set(types) - EVENT_TYPES.keys()):
        raise click.UsageError(f"There is no event type {unknown[0]}. Types: {' '.join(sorted(EVENT_TYPES))}")
    with open_kernel(settings_of(data)) as kernel:
        found = {group.name: group for group in groups()}.get(consumer)
        if found is None:
            raise click.UsageError(f"There is no such consumer. Consumers: {' '.join(sorted(group.name for group in groups()))}")
        kernel.bus.subscribe(found)
        count = Operating(kernel.database, kernel.audit, kernel.dead_letters).replay(operator(), kernel.bus, consumer, parse_iso(since), frozenset(types))
    click.echo(f"{count} events will be handled again by {consumer}")


@events.command()
@data_option
@json_option
def consumers(data: Path | None, as_json: bool) -> None:
    """List consumers and what they have before them."""
    from chartloop.app import open_kernel
    from chartloop.kernel.queues import queues

    with open_kernel(settings_of(data)) as kernel, kernel.database.read() as session:
        found = queues(session)
    if as_json:
        click.echo(json.dumps([queue._asdict() for queue in found], indent=2))
        return
    for queue in found:
        click.echo(
            f"{queue.consumer:<26}  behind {queue.behind}  ready {queue.ready}  held {queue.held}  parked {queue.parked}"
            f"  oldest {queue.age_s:.0f} s  retried {queue.retried}  dead {queue.dead}"
        )
    if not found:
        click.echo("no consumer has run yet")


@events.group()
def topic() -> None:
    """The topic that events travel through, where bus.url names Kafka or Kinesis."""


@topic.command()
@data_option
def create(data: Path | None) -> None:
    """Make the topics that are missing; what is there stays as it is."""
    from chartloop.kernel.streams.opening import create_topics

    made = create_topics(settings_of(data))
    if made is None:
        click.echo("bus.url is table, which needs no topic")
    else:
        click.echo(f"made {', '.join(made)}" if made else "every topic is there")


@topic.command()
@data_option
@click.confirmation_option(prompt="Only when bus.url is table again in every process. Go on?")
def leave(data: Path | None) -> None:
    """Forget how far the relay and the consumers were in the topic, after going back to the table bus.

    Until then events are kept for a relay that does not run. No event is lost: consumers go on where they were.
    """
    from chartloop.app import open_kernel
    from chartloop.kernel.errors import Conflict
    from chartloop.kernel.streams.positions import forget

    settings = settings_of(data)
    if settings.bus.url != "table":
        raise Conflict("bus.url still names a broker: set it to table first, and start every process anew.")
    with open_kernel(settings) as kernel:
        kernel.database.write(forget)
    click.echo("the topic is forgotten")


def _row(letter: DeadLetter) -> dict[str, object]:
    return {**letter._asdict(), "recorded": iso(letter.recorded)}
