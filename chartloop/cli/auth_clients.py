"""`chartloop auth clients`: which apps and services are registered, and what they may ask for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from chartloop.cli.options import data_option, json_option, settings_of

if TYPE_CHECKING:
    from chartloop.app import Kernel
    from chartloop.kernel.access.subject import Subject
    from chartloop.kernel.db import Tx
    from smart_apps.server.clients import Client

T = TypeVar("T")
Work = Callable[["Tx", "Kernel", "Subject"], T]

_OPTIONS = (
    click.option("--name", default=None, help="What people call it."),
    click.option("--redirect-uri", "redirect_uris", multiple=True, metavar="URI", help="Where it may be sent back to, exactly; repeatable."),
    click.option("--launch-url", default=None, metavar="URL", help="Where the EHR starts it."),
    click.option("--scope", default=None, help="SMART scopes that it may ask for, separated by spaces."),
    click.option("--origin", "origins", multiple=True, metavar="ORIGIN", help="Web origin of its pages, for CORS; repeatable."),
    click.option("--jwks", type=click.Path(path_type=Path, dir_okay=False, exists=True), default=None, help="File with its public keys (JWK set)."),
    click.option("--jwks-uri", default=None, metavar="URL", help="Where its public keys are."),
    click.option("--role", default=None, help="Makes it a backend service that acts in this role, with system scopes."),
    click.option("--acts-for", default=None, metavar="REFERENCE", help='Whom a backend service acts for: "Organization/9".'),
    click.option("--first-party/--third-party", default=None, help="First-party apps are not asked about."),
    click.option("--test/--no-test", default=None, help="Whether it may ask for simulated errors."),
    click.option("--simulate", default=None, metavar="ERROR", help="The error that a test client meets; empty for none."),
    click.option("--id-token-alg", default=None, type=click.Choice(["RS256", "RS384", "ES384"]), help="How its id_tokens are signed."),
)


def _described(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.group()
def clients() -> None:
    """Apps and backend services."""


@clients.command("list")
@data_option
@json_option
def list_(data: Path | None, as_json: bool) -> None:
    """List the registered clients."""
    from smart_apps.server.clients import everyone

    found = _within(data, lambda tx, _kernel, _who: everyone(tx))
    if as_json:
        click.echo(json.dumps([_shown(client) for client in found], indent=2))
        return
    for client in found:
        marks = [name for name, on in (("first-party", client.first_party), ("test", client.test), (client.role, client.role)) if on]
        click.echo(f"{client.client_id:24} {client.kind:10} {client.name}{'  (' + ', '.join(marks) + ')' if marks else ''}")


@clients.command()
@data_option
@click.argument("client_id")
def show(data: Path | None, client_id: str) -> None:
    """Print the registration of one client."""
    from smart_apps.server.registry import known

    click.echo(json.dumps(_shown(_within(data, lambda tx, _kernel, _who: known(tx, client_id))), indent=2))


@clients.command()
@data_option
@click.argument("client_id")
@click.option("--kind", type=click.Choice(["public", "symmetric", "asymmetric"]), default="public", help="How it proves itself: not at all, a secret, a key.")
@_described
def add(data: Path | None, client_id: str, kind: str, **said: Any) -> None:
    """Register a client; the secret of a symmetric one is printed once."""
    from smart_apps.server.clients import Client
    from smart_apps.server.registration import with_secret
    from smart_apps.server.registry import add_client

    bare = Client(client_id, "", (), "", "", kind=kind, secret="0" * 64 if kind == "symmetric" else "")
    client, secret = with_secret(_changed(bare, said))

    def work(tx: Tx, kernel: Kernel, who: Subject) -> None:
        _check_role(kernel, client)
        add_client(tx, kernel.audit, who, client)

    _within(data, work)
    click.echo(f"registered {client_id}")
    _print_secret(secret)


@clients.command()
@data_option
@click.argument("client_id")
@_described
def change(data: Path | None, client_id: str, **said: Any) -> None:
    """Change a registration; what is not named stays. A refresh gives at most what is left; access tokens end by themselves."""
    from smart_apps.server.registry import change_client, known

    def work(tx: Tx, kernel: Kernel, who: Subject) -> None:
        client = _changed(known(tx, client_id), said)
        _check_role(kernel, client)
        change_client(tx, kernel.audit, who, client, ", ".join(sorted(name for name, value in said.items() if value not in (None, ()))))

    _within(data, work)
    click.echo(f"changed {client_id}")


@clients.command("rotate-secret")
@data_option
@click.argument("client_id")
def rotate_secret(data: Path | None, client_id: str) -> None:
    """Give a symmetric client a new secret, printed once; the old one ends now."""
    from chartloop.kernel.errors import Invalid
    from smart_apps.server.registration import with_secret
    from smart_apps.server.registry import change_client, known

    def work(tx: Tx, kernel: Kernel, who: Subject) -> str:
        client, secret = with_secret(known(tx, client_id))
        if not secret:
            raise Invalid("Only a symmetric client has a secret.")
        change_client(tx, kernel.audit, who, client, "secret rotated")
        return secret

    _print_secret(_within(data, work))


@clients.command()
@data_option
@click.argument("client_id")
def remove(data: Path | None, client_id: str) -> None:
    """Forget a client and end every access that it was allowed."""
    from smart_apps.server.registry import remove_client

    ended = _within(data, lambda tx, kernel, who: remove_client(tx, kernel.audit, who, client_id))
    click.echo(f"removed {client_id}; {ended} authorizations ended")


def _within(data: Path | None, work: Work[T]) -> T:
    from chartloop.app import open_kernel
    from chartloop.kernel.access.subject import Subject

    with open_kernel(settings_of(data)) as kernel:
        return kernel.database.write(lambda tx: work(tx, kernel, Subject(id="cli", role="")))


def _changed(client: Client, said: dict[str, Any]) -> Client:
    from smart_apps.server.clients import BACKEND, CODE, REFRESH
    from smart_apps.server.key_sets import read_key_set

    given = {name: value for name, value in said.items() if value not in (None, ())}
    if "jwks" in given:
        text = given["jwks"].read_text("utf-8")
        read_key_set(text)
        given |= {"jwks": text, "jwks_uri": ""}
    elif "jwks_uri" in given:
        given["jwks"] = ""
    changed = replace(client, **given)
    person = (CODE, REFRESH) if changed.redirect_uris else ()
    return replace(changed, grants=(*person, *((BACKEND,) if changed.role else ())))


def _check_role(kernel: Kernel, client: Client) -> None:
    from chartloop.kernel.errors import Invalid

    if client.role and client.role not in kernel.access.policies.roles:
        raise Invalid(f"There is no such role. Roles: {' '.join(kernel.access.policies.roles)}", code="value")
    unenforced = [text for text in client.scope.split() if "?" in text and not kernel.access.enforceable(text)]
    if unenforced:
        raise Invalid(f"This scope cannot be enforced exactly, so it would never be granted: {unenforced[0][:200]}", code="value")


def _shown(client: Client) -> dict[str, Any]:
    """A registration without its secret."""
    return {**{name: value for name, value in asdict(client).items() if name != "secret"}, "has_secret": bool(client.secret)}


def _print_secret(secret: str) -> None:
    if secret:
        click.echo(f"secret: {secret}")
        click.echo("It is not shown again.", err=True)
