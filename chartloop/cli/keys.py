"""`chartloop keys`: the master key and the data keys of the vault."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import click

from chartloop.app import Kernel
from chartloop.cli.options import data_option, json_option, settings_of
from chartloop.kernel.clock import iso
from chartloop.kernel.vault.data_keys import DataKey


@click.group()
def keys() -> None:
    """Look after the keys that stored data are sealed with: see docs/howto/keys.md."""


@keys.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def new(file: Path) -> None:
    """Make a master key in a new file that its owner alone can read."""
    from chartloop.kernel.errors import Conflict
    from chartloop.kernel.vault.master import new_key

    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise Conflict(f"{file} cannot be made: {os.strerror(error.errno or 0)}.") from None
    with os.fdopen(handle, "wb") as opened:
        opened.write(new_key())
    click.echo(f"{file}: keep a copy where the data are not; without it nothing that it seals can be read again")


@keys.command(name="list")
@data_option
@json_option
def list_(data: Path | None, as_json: bool) -> None:
    """List the data keys: scope, state, the master key that wraps them, how often they have sealed."""
    from chartloop.app import open_kernel

    with open_kernel(settings_of(data), key_needed=False) as kernel:
        found = [_shown(key) for key in sorted(_all(kernel), key=lambda key: key.created)]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for key in found:
        click.echo("{id:>19}  {scope:<24}  {state:<9}  {algorithm}  master {master:<12}  since {created}  used {used:,}".format(**key))


@keys.command()
@data_option
@click.option("--patients", is_flag=True, help="Retire the keys of patients too.")
def rotate(data: Path | None, patients: bool) -> None:
    """Retire the data keys: what is written from now on is sealed with new ones, and old ones still open.

    A running server follows within a minute. `chartloop keys seal --retired` then seals anew what the old keys sealed.
    """
    from chartloop.kernel import clock
    from chartloop.kernel.vault import data_keys
    from chartloop.kernel.vault.vault import SCOPES

    with _opened(data) as kernel:
        now = clock.now_us()
        count = kernel.database.write(lambda tx: sum(data_keys.retire(tx, scope, now) for scope in (("*",) if patients else SCOPES)))
        if kernel.vault is not None:
            kernel.vault.refresh()
        _recorded(kernel, "data keys retired")
    click.echo(f"{count:,} data keys are retired")


@keys.command()
@data_option
def rewrap(data: Path | None) -> None:
    """Wrap every data key with the master key in force; earlier ones are read from vault.earlier_key_files.

    Then the earlier master keys can be destroyed, and with them every older copy of the wrapped keys.
    """
    from chartloop.kernel.vault.rewrapping import rewrap_all

    settings = settings_of(data)
    with _opened(data) as kernel:
        count = rewrap_all(kernel.database, settings.vault, settings.keys)
        _recorded(kernel, "data keys wrapped with the master key in force")
    click.echo(f"{count:,} data keys are wrapped anew")


@keys.command()
@data_option
@click.option("--retired", is_flag=True, help="Also seal anew what retired keys have sealed.")
@click.option("--pause", type=float, default=0.01, show_default=True, help="Seconds between two transactions, for those who wait.")
def seal(data: Path | None, retired: bool, pause: float) -> None:
    """Seal what is stored in clear, in short transactions beside a running server; it can be stopped and begun again."""
    from chartloop.app import open_door
    from chartloop.kernel.errors import Invalid
    from chartloop.sealed import seal_everything

    with _opened(data) as kernel:
        if kernel.vault is None or not kernel.vault.sealing:
            raise Invalid("The vault is off: set vault.mode to on.")
        totals: dict[str, tuple[int, int]] = {}
        for table, seen, sealed in seal_everything(kernel.database, open_door(kernel).store, retired=retired):
            totals[table] = (seen, sealed)
            time.sleep(pause)
        _recorded(kernel, "stored data sealed")
    for table, (seen, sealed) in totals.items():
        click.echo(f"{table}: {sealed:,} of {seen:,} sealed")


@keys.command()
@data_option
@click.option("--patient", required=True, help="Reference of the patient: Patient/ID.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--no-server", is_flag=True, help="No server runs on this store, so that there is nobody to wait for.")
def destroy(data: Path | None, patient: str, yes: bool, no_server: bool) -> None:
    """Destroy the keys of a patient whose resources are deleted: no version of them can be read again, by anybody."""
    from chartloop.kernel import clock
    from chartloop.kernel.errors import Conflict, Invalid
    from chartloop.kernel.vault import data_keys
    from chartloop.kernel.vault.vault import REFRESH_S
    from fhir_server.resealing import living_of

    if not patient.startswith("Patient/"):
        raise Invalid("--patient takes a reference: Patient/ID.")
    with _opened(data) as kernel:
        with kernel.database.read() as session:
            living = living_of(session, patient)
        if living:
            raise Conflict(f"{living:,} resources about {patient} are not deleted, and the index tables tell of them: delete them first.")
        if not yes:
            click.confirm(f"Nothing about {patient} that is stored now can be read again. Destroy its keys?", abort=True)
        kernel.database.write(lambda tx: data_keys.retire(tx, patient, clock.now_us()))
        if not no_server:
            click.echo(f"waiting {2 * REFRESH_S:.0f} s until no server seals with them any more")
            time.sleep(2 * REFRESH_S)
        count = kernel.database.write(lambda tx: data_keys.destroy(tx, patient, clock.now_us()))
        _recorded(kernel, "patient's data keys destroyed", patient)
    click.echo(f"{count:,} data keys are destroyed; copies in backups and write-ahead logs are gone with the next rewrap: see docs/howto/keys.md")


def _opened(data: Path | None) -> Kernel:
    from chartloop.app import open_kernel

    return open_kernel(settings_of(data))


def _all(kernel: Kernel) -> Iterator[DataKey]:
    from chartloop.kernel.vault import data_keys

    after = -1
    while True:
        with kernel.database.read() as session:
            found = data_keys.page(session, after, 1000)
        if not found:
            return
        yield from found
        after = found[-1].id


def _shown(key: DataKey) -> dict[str, object]:
    state = "destroyed" if key.destroyed else "retired" if key.retired else "seals"
    return {
        "id": key.id, "scope": key.scope, "state": state, "algorithm": key.algorithm, "master": key.master, "created": iso(key.created), "used": key.used,
    }  # fmt: skip


def _recorded(kernel: Kernel, what: str, patient: str = "") -> None:
    """Leave a record: who changes keys changes who can read."""
    from chartloop.kernel.access.subject import Subject
    from chartloop.kernel.audit.record import AuditRecord

    who = Subject(id="chartloop keys", role="")
    record = AuditRecord("U", "key-rotated", "0", who, ("vault",), (patient,) if patient else (), reason=what)
    kernel.database.write(lambda tx: kernel.audit.change(tx, record))
