"""The command `chartloop`: its groups, and how a failure is told."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from chartloop.kernel.errors import ChartloopError

# Where each command lives. A module is imported when its command is used: `chartloop token` does not wait for Flask.
COMMANDS = {
    "access": "chartloop.cli.access",
    "apps": "chartloop.cli.run",
    "audit": "chartloop.cli.audit",
    "auth": "chartloop.cli.auth",
    "backup": "chartloop.cli.backup",
    "claims": "chartloop.cli.claims",
    "coding": "predictions.cli_coding",
    "config": "chartloop.cli.config",
    "db": "chartloop.cli.db",
    "demo": "chartloop.cli.demo",
    "ehr": "chartloop.cli.ehr",
    "events": "chartloop.cli.events",
    "fhir": "chartloop.cli.fhir",
    "jobs": "chartloop.cli.jobs",
    "keys": "chartloop.cli.keys",
    "mllp": "chartloop.cli.run",
    "omop": "chartloop.cli.omop",
    "predictions": "chartloop.cli.predictions",
    "serve": "chartloop.cli.run",
    "token": "chartloop.cli.token",
    "work": "chartloop.cli.run",
}
FAILED, WRONG_USAGE = 1, 2


class Lazy(click.Group):
    """A group that imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(COMMANDS[cmd_name]), cmd_name)
        return command


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="chartloop", prog_name="chartloop")
def chartloop() -> None:
    """From a clinical note to a paid claim.

    Settings come from options, then the environment (CHARTLOOP_, nested __), then chartloop.toml, then defaults: see `chartloop config`.
    """


def main() -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong usage."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit status."""
    try:
        status = chartloop.main(arguments, prog_name="chartloop", standalone_mode=False)
    except click.UsageError as error:
        error.show()
        return WRONG_USAGE
    except click.ClickException as error:
        error.show()
        return FAILED
    except click.Abort:
        return FAILED
    except ChartloopError as error:
        click.echo(f"chartloop: {error}", err=True)
        return FAILED
    return status if isinstance(status, int) else 0
