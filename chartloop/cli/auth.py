"""`chartloop auth`: who may log in, and with what; each group of commands is imported when it is used."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

import click

GROUPS = {
    "clients": "chartloop.cli.auth_clients",
    "keys": "chartloop.cli.auth_keys",
    "roles": "chartloop.cli.auth_users",
    "users": "chartloop.cli.auth_users",
}


class Lazy(click.Group):
    """A group that imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(name for name, module in GROUPS.items() if find_spec(module) is not None)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = getattr(import_module(GROUPS[cmd_name]), cmd_name)
        return command


@click.group(cls=Lazy)
def auth() -> None:
    """Manage users, roles, clients and keys."""
