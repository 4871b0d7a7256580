"""Write docs/reference from the code: settings, commands, events (for people, and as AsyncAPI), errors and metrics."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from chartloop.cli.main import chartloop
from chartloop.kernel.config import Settings
from chartloop.kernel.errors import ChartloopError
from chartloop.kernel.events import EVENT_TYPES
from chartloop.kernel.metrics import METRICS
from chartloop.kernel.streams.asyncapi import document

NOTE = "Written from the code by `make docs`; `make check` fails when it differs.\n"


def settings_page() -> str:
    """Every setting with its variable, default and meaning."""
    lines = ["# Settings", "", NOTE, "| setting | environment | default | meaning |", "| --- | --- | --- | --- |"]
    for name, default, meaning in _settings(Settings):
        variable = "CHARTLOOP_" + name.upper().replace(".", "__")
        lines.append(f"| `{name}` | `{variable}` | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def _settings(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _settings(kind, f"{prefix}{name}.")
        else:
            default = "required" if field.default is PydanticUndefined else "empty" if isinstance(field.default, str | tuple | dict) and not field.default else f"`{field.default}`"
            yield f"{prefix}{name}", default, field.description or ""


def commands_page() -> str:
    """Every command with its help text."""
    context = click.Context(chartloop, info_name="chartloop")
    lines = ["# Commands", "", "Exit status: 0 done, 1 failed, 2 wrong usage.", "", NOTE]
    for path, command in _commands(chartloop, ("chartloop",), context):
        if isinstance(command, click.Group):
            continue
        usage = click.Context(command, info_name=" ".join(path), terminal_width=80)
        lines += [f"## {' '.join(path)}", "", "```", command.get_help(usage), "```", ""]
    return "\n".join(lines).rstrip() + "\n"


def _commands(group: click.Group, path: tuple[str, ...], context: click.Context) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name in sorted(group.list_commands(context)):
        command = group.get_command(context, name)
        if command is None:
            continue
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name), context)


def events_page() -> str:
    """Every event type."""
    rows = [f"| `{name}` | {meaning} |" for name, meaning in sorted(EVENT_TYPES.items())]
    lead = "An event is thin: id, type, subject, version, a keyed hash of what orders it, a trace id, a time. It holds no patient data; a consumer reads the store under its own scope."
    return "\n".join(["# Events", "", lead, "", NOTE, "| event | meaning |", "| --- | --- |", *rows]) + "\n"


def errors_page() -> str:
    """Every error class with its category and default message."""
    rows = [f"| `{error.__name__}` | {error.category} | `{error.code}` | {(error.__doc__ or '').splitlines()[0]} |" for error in sorted(_errors(), key=lambda each: each.__name__)]
    return "\n".join(["# Errors", "", NOTE, "| error | category | issue code | default message |", "| --- | --- | --- | --- |", *rows]) + "\n"


def _errors() -> set[type[ChartloopError]]:
    found: set[type[ChartloopError]] = set()
    waiting = [ChartloopError]
    while waiting:
        for child in waiting.pop().__subclasses__():
            if child.__module__ == "chartloop.kernel.errors":
                found.add(child)
                waiting.append(child)
    return found


def metrics_page() -> str:
    """Every metric with its type and labels."""
    rows = [f"| `{name}` | {kind} | {', '.join(labels) or '-'} | {meaning} |" for name, (kind, meaning, labels) in sorted(METRICS.items())]
    lead = "Served at `/metrics`. No label holds patient data."
    return "\n".join(["# Metrics", "", lead, "", NOTE, "| metric | type | labels | meaning |", "| --- | --- | --- | --- |", *rows]) + "\n"


def asyncapi_page() -> str:
    """Every event as those read it who follow the topic beside Chartloop."""
    return json.dumps(document(), indent=2) + "\n"


PAGES = {
    "asyncapi.json": asyncapi_page,
    "commands.md": commands_page,
    "errors.md": errors_page,
    "events.md": events_page,
    "metrics.md": metrics_page,
    "settings.md": settings_page,
}


def main(arguments: list[str]) -> int:
    """Write the pages, or with --check say which differ."""
    directory = Path(arguments[-1])
    differing = []
    for name, page in PAGES.items():
        file, text = directory / name, page()
        if arguments[0] != "--check":
            file.write_text(text, encoding="utf-8")
        elif not file.is_file() or file.read_text(encoding="utf-8") != text:
            differing.append(str(file))
    if differing:
        sys.stderr.write(f"out of date, run `make docs`: {', '.join(differing)}\n")
    return 1 if differing else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
