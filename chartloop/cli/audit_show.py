"""`chartloop audit show` and `disclosures`: the log, read by whoever may read the data directory; the reading is recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chartloop.cli.operator import operator
from chartloop.cli.options import data_option, json_option, settings_of
from chartloop.cli.printing import printable
from chartloop.kernel.clock import iso

if TYPE_CHECKING:
    from chartloop.app import Kernel
    from chartloop.kernel.audit.record import Kept

READ = "audit-read"


@click.command()
@data_option
@json_option
@click.option("--patient", default="", help="Reference of a patient: Patient/1.")
@click.option("--entity", default="", help="A resource or another thing that was touched: Claim/1, interchange/5.")
@click.option("--agent", default="", help="Who asked: Practitioner/7, engine:claims, anonymous.")
@click.option("--interaction", default="", help="An interaction word: read, search, login, disclosure, ….")
@click.option("--action", type=click.Choice(list("CRUDE")), default=None, help="Create, read, update, delete, execute.")
@click.option("--outcome", type=click.Choice(["0", "4", "8"]), default=None, help="0 done, 4 refused, 8 failed.")
@click.option("--since", default="", metavar="TIME", help="Recorded at or after: 2026-11-22T08:00:00Z.")
@click.option("--until", default="", metavar="TIME", help="Recorded before.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000), help="Most records.")
def show(data: Path | None, as_json: bool, limit: int, **filters: str | None) -> None:
    """List sealed records, the newest first. Records of the last second may not be sealed yet."""
    from chartloop.app import open_kernel
    from chartloop.kernel.audit.index import Wanted, find
    from chartloop.kernel.audit.journal import audit_directory
    from chartloop.kernel.audit.reading import records_at
    from chartloop.kernel.audit.record import read_kept
    from chartloop.kernel.clock import parse_iso

    said = {name: value for name, value in filters.items() if value}
    listed = {name: tuple(filter(None, (filters[each],))) for name, each in (("patients", "patient"), ("entities", "entity"), ("agents", "agent"), ("actions", "action"), ("outcomes", "outcome"))}
    since, until = (parse_iso(said[name]) if name in said else None for name in ("since", "until"))
    wanted = Wanted(**listed, interactions=(said["interaction"],) if "interaction" in said else None, since=since, until=until)
    with open_kernel(settings_of(data)) as kernel:
        _record(kernel, "audit/records", listed["patients"], " ".join(f"{name}={value}" for name, value in said.items()))
        with kernel.database.read(snapshot=True) as session:
            records = records_at(session, audit_directory(kernel.settings.data), find(session, wanted, limit=limit))
    for record in records:
        kept = read_kept(record.body)
        click.echo(json.dumps({"seq": record.seq, **json.loads(record.body)}) if as_json else _line(record.seq, kept) if kept else f"{record.seq}  cannot be read")
    if not records and not as_json:
        click.echo("no records")


@click.command("disclosures")
@data_option
@json_option
@click.option("--patient", required=True, help="Reference of a patient: Patient/1.")
@click.option("--all", "every", is_flag=True, help="Also those that need not be listed: treatment, payment, operations, to the patient.")
def disclosures_(data: Path | None, as_json: bool, patient: str, every: bool) -> None:
    """Print the accounting of disclosures of a patient over the last six years (45 CFR 164.528)."""
    from chartloop.app import open_kernel
    from chartloop.kernel.audit.disclosures import disclosures
    from chartloop.kernel.audit.journal import audit_directory

    reference = patient if "/" in patient else f"Patient/{patient}"
    with open_kernel(settings_of(data)) as kernel:
        _record(kernel, "audit/disclosures", (reference,), "")
        with kernel.database.read(snapshot=True) as session:
            found = [each for each in disclosures(session, audit_directory(kernel.settings.data), reference) if every or each.listed]
    if as_json:
        click.echo(json.dumps([{**each._asdict(), "recorded": iso(each.recorded)} for each in found], indent=2))
        return
    for each in found:
        click.echo(f"{iso(each.recorded)}  {printable(each.who):<28}  {each.purpose:<8}  {printable(', '.join(each.what))}  ({each.why})")
    if not found:
        click.echo("no disclosures that must be listed" if not every else "no disclosures")


def _record(kernel: Kernel, target: str, patients: tuple[str, ...], query: str) -> None:
    from chartloop.kernel.audit.record import AuditRecord

    kernel.audit.access(AuditRecord("R", READ, "0", operator(), (target,), patients, query))


def _line(seq: int, kept: Kept) -> str:
    """One record for people: when, who, what, how it ended."""
    ended = {"0": "", "4": "refused", "8": "failed"}.get(kept.outcome, kept.outcome)
    end = " ".join(filter(None, (ended, kept.reason)))
    role = f" ({kept.subject.role})" if kept.subject.role else ""
    return printable(f"{seq:>8}  {iso(kept.recorded)}  {kept.agent}{role}  {kept.interaction}  {' '.join(kept.targets)}  {end}".rstrip(), 600)
