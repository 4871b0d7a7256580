"""`chartloop auth users` and `chartloop auth roles`: people who log in, and what they may be; a person chooses the own password by a one-time link."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chartloop.cli.options import data_option, json_option, settings_of
from chartloop.kernel.clock import iso

if TYPE_CHECKING:
    from chartloop.kernel.config import Settings
    from smart_apps.people.administration import Administration
    from smart_apps.people.person import Person

login_argument = click.argument("login")


@contextmanager
def _administration(settings: Settings) -> Iterator[Administration]:
    from chartloop.app import open_kernel
    from chartloop.kernel.access.subject import Subject
    from smart_apps.people.administration import Administration

    who = Subject(id=f"cli:{pwd.getpwuid(os.getuid()).pw_name}", role="")
    with open_kernel(settings) as kernel:
        yield Administration(kernel.database, kernel.audit, kernel.access.policies.roles, who, settings.auth.link_ttl_h * 3600)


@click.group()
def users() -> None:
    """People who log in. Nothing has a default password."""


@users.command("list")
@data_option
@json_option
def list_(data: Path | None, as_json: bool) -> None:
    """List everybody who may log in, with their second factors and failed tries."""
    from smart_apps.people import person
    from smart_apps.people.people import factors

    with _administration(settings_of(data)) as administration, administration.database.read() as db:
        rows = [{**_facts(each), "second_factor": _words(factors(db, each.id))} for each in person.everyone(db)]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        seen = f"last in {row['entered'][:16]}" if row["entered"] else "never in"
        failed = f", {row['failed']} failed tries" if row["failed"] else ""
        click.echo(f"{row['login']:<24}{row['role']:<24}{row['status']:<10}{row['second_factor']:<28}{seen}{failed}  {row['display']}")
    if not rows:
        click.echo("nobody yet: chartloop auth users add LOGIN --role ROLE")


@users.command()
@data_option
@json_option
@login_argument
@click.option("--role", required=True, help="A role that the policies know: see `chartloop auth roles`.")
@click.option("--display", default="", help="How pages call them.  [default: the login]")
@click.option("--user", default="", metavar="REFERENCE", help='Who they are in the chart: "Practitioner/1".')
@click.option("--patient", default="", metavar="REFERENCE", help='Their own record, for a patient: "Patient/1".')
def add(data: Path | None, as_json: bool, login: str, role: str, display: str, user: str, patient: str) -> None:
    """Add a person, and print the one-time link by which they choose a password."""
    from smart_apps.people.person import Person

    settings = settings_of(data)
    with _administration(settings) as administration:
        made, secret = administration.add(Person("", login, display or login, role, user or patient, patient))
    _link(settings, made, secret, as_json)


@users.command()
@data_option
@json_option
@login_argument
@click.option("--role", default=None, help="Another role; their sessions and tokens end.")
@click.option("--display", default=None, help="How pages call them.")
@click.option("--user", default=None, metavar="REFERENCE", help="Who they are in the chart; their sessions and tokens end.")
@click.option("--patient", default=None, metavar="REFERENCE", help="Their own record; their sessions and tokens end.")
def change(data: Path | None, as_json: bool, login: str, **fields: str | None) -> None:
    """Change who a person is."""
    said = {name: value for name, value in fields.items() if value is not None}
    if not said:
        raise click.UsageError("Say what to change: --role, --display, --user or --patient.")
    with _administration(settings_of(data)) as administration:
        _say(administration.change(login, **said), "changed", as_json)


@users.command()
@data_option
@json_option
@login_argument
def disable(data: Path | None, as_json: bool, login: str) -> None:
    """Let somebody in no more; sessions, tokens and links end at once."""
    with _administration(settings_of(data)) as administration:
        _say(administration.disable(login), "disabled; sessions and tokens have ended", as_json)


@users.command()
@data_option
@json_option
@login_argument
def enable(data: Path | None, as_json: bool, login: str) -> None:
    """Let somebody in again."""
    with _administration(settings_of(data)) as administration:
        _say(administration.enable(login), "enabled", as_json)


@users.command("set-password")
@data_option
@json_option
@login_argument
def set_password(data: Path | None, as_json: bool, login: str) -> None:
    """Void a password and print the one-time link by which the person chooses a new one; it works during a lock-out, too."""
    settings = settings_of(data)
    with _administration(settings) as administration:
        who, secret = administration.new_password(login)
    _link(settings, who, secret, as_json)


@users.command("reset-second-factor")
@data_option
@json_option
@login_argument
def reset_second_factor(data: Path | None, as_json: bool, login: str) -> None:
    """Forget authenticator app, passkeys and recovery codes of somebody who lost them; sessions end."""
    with _administration(settings_of(data)) as administration:
        _say(administration.reset_second_factor(login), "has no second factor now; sessions have ended", as_json)


@users.command()
@data_option
@json_option
@login_argument
def sessions(data: Path | None, as_json: bool, login: str) -> None:
    """List the sessions of somebody that are open."""
    from chartloop.kernel import clock
    from chartloop.kernel.errors import NotFound
    from smart_apps.people import person

    with _administration(settings_of(data)) as administration, administration.database.read() as db:
        who = person.by_login(db, login)
        if who is None:
            raise NotFound("Nobody has this login.")
        rows = db.all("select id, opened, seen from ehr_session where holder = ? and expires > ? order by opened", (who.holder, clock.now_us()))
    listed = [{"session": id_, "opened": iso(opened), "seen": iso(seen)} for id_, opened, seen in rows]
    if as_json:
        click.echo(json.dumps(listed, indent=2))
        return
    for row in listed:
        click.echo(f"{row['session']}  opened {row['opened']}  seen {row['seen']}")
    if not listed:
        click.echo("no sessions")


@users.command("end-sessions")
@data_option
@json_option
@login_argument
def end_sessions(data: Path | None, as_json: bool, login: str) -> None:
    """End every session of somebody, and the tokens of their apps."""
    with _administration(settings_of(data)) as administration:
        count = administration.end_sessions(login)
    click.echo(json.dumps({"login": login, "ended": count}) if as_json else f"{login}: {count} sessions ended")


@users.command()
@data_option
@json_option
@login_argument
@click.argument("sub")
@click.option("--issuer", default="", help="The provider.  [default: auth.oidc.issuer]")
def external(data: Path | None, as_json: bool, login: str, sub: str, issuer: str) -> None:
    """Register whom the OpenID provider means by SUB."""
    settings = settings_of(data)
    named = issuer or settings.auth.oidc.issuer
    if not named:
        raise click.UsageError("Say which provider: --issuer, or the setting auth.oidc.issuer.")
    with _administration(settings) as administration:
        _say(administration.external(login, named, sub), f"is known at {named}", as_json)


@click.command()
@data_option
@json_option
def roles(data: Path | None, as_json: bool) -> None:
    """List the roles that the policies know, and what permits each: the policies' own names."""
    from chartloop.kernel.access.policy_set import SHIPPED, load
    from smart_apps.people.roles import roles_in_words

    directory = settings_of(data).policy.directory
    words = roles_in_words(load(directory).roles, directory or SHIPPED)
    if as_json:
        click.echo(json.dumps(words, indent=2))
        return
    for role, permits in words.items():
        click.echo(f"{role}\n" + "\n".join(f"    {permit}" for permit in permits or ["nothing"]))


def _link(settings: Settings, who: Person, secret: str, as_json: bool) -> None:
    from chartloop.app import base_url

    url = f"{base_url(settings)}/login/link?key={secret}"
    if as_json:
        click.echo(json.dumps({**_facts(who), "link": url, "hours": settings.auth.link_ttl_h}, indent=2))
        return
    click.echo(f"{who.login} chooses a password here, once, within {settings.auth.link_ttl_h:g} hours:\n{url}")


def _say(who: Person, what: str, as_json: bool) -> None:
    click.echo(json.dumps(_facts(who), indent=2) if as_json else f"{who.login} {what}")


def _facts(who: Person) -> dict[str, Any]:
    """Give what may be shown of a person: never the hash."""
    return {
        "id": who.id,
        "login": who.login,
        "display": who.display,
        "role": who.role,
        "user": who.user,
        "patient": who.patient,
        "status": who.status,
        "has_password": bool(who.password),
        "failed": who.failed,
        "locked_until": iso(who.locked) if who.locked else "",
        "entered": iso(who.entered) if who.entered else "",
        "created": iso(who.created),
    }


def _words(have: Any) -> str:
    found = [*(["authenticator"] if have.totp else []), *([f"{have.passkeys} passkeys"] if have.passkeys else [])]
    return ", ".join(found) or "no second factor"
