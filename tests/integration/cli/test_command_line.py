"""The command line as scripts use it: exit statuses, help everywhere, one sentence for an error."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from chartloop.cli.main import chartloop, run

ROOT = Path(__file__).resolve().parents[3]


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    import os

    return subprocess.run([sys.executable, "-m", "chartloop", *arguments], capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, **environment}, timeout=60)


def every_command() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []

    def walk(group: click.Group, path: tuple[str, ...]) -> None:
        context = click.Context(group)
        for name in group.list_commands(context):
            child = group.get_command(context, name)
            found.append((*path, name))
            if isinstance(child, click.Group):
                walk(child, (*path, name))

    walk(chartloop, ())
    return found


@pytest.mark.conformance("Command line", "--help everywhere")
@pytest.mark.conformance("What a new user does", "every command of the command line has --help")
@pytest.mark.parametrize("path", every_command(), ids=" ".join)
def test_every_command_has_help(path, capsys):
    assert run([*path, "--help"]) == 0
    assert "Usage: chartloop " + " ".join(path) in capsys.readouterr().out


@pytest.mark.conformance("Command line", "exit 2 for wrong usage")
def test_a_wrong_command_is_wrong_usage(capsys):
    assert run(["nonsense"]) == 2
    assert "No such command" in capsys.readouterr().err


@pytest.mark.conformance("Command line", "exit 2 for wrong usage")
def test_a_wrong_option_is_wrong_usage():
    assert command("token", "--nonsense").returncode == 2


@pytest.mark.conformance("Command line", "exit 1 with one message and no traceback for what failed: an unknown role is told the known ones")
def test_a_role_that_no_policy_knows_is_refused_with_the_roles(tmp_path):
    result = command("token", "--data", str(tmp_path), "--role", "emperor")
    assert result.returncode == 1
    assert "clinician" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.conformance("Command line", "token prints a bearer token alone on a line and exits 0")
def test_a_token_is_printed_alone_on_a_line(tmp_path):
    result = command("token", "--data", str(tmp_path), "--role", "auditor", "--user", "Practitioner/1")
    assert result.returncode == 0
    assert len(result.stdout.split()) == 1


@pytest.mark.long
@pytest.mark.conformance("Command line", "a bus that is not built is refused with one sentence")
def test_a_bus_that_is_not_built_is_refused_with_one_sentence(tmp_path):
    result = command("serve", "--data", str(tmp_path), CHARTLOOP_BUS__URL="amqp://127.0.0.1:5672")
    assert result.returncode == 1
    assert len(result.stderr.strip().splitlines()) == 1
    assert "table" in result.stderr


@pytest.mark.long
@pytest.mark.parametrize("process", ["work", "mllp"])
@pytest.mark.conformance("Command line", "work and mllp refuse to run beside a SQLite store, and say why")
def test_a_second_writing_process_is_refused_on_sqlite(tmp_path, process):
    result = command(process, "--data", str(tmp_path))
    assert result.returncode == 1
    assert len(result.stderr.strip().splitlines()) == 1
    assert "PostgreSQL" in result.stderr


@pytest.mark.conformance("Command line", "config shows each value with its origin and masks secrets")
def test_config_shows_values_with_their_origin_and_masks_secrets(tmp_path):
    result = command("config", "--json", "--data", str(tmp_path), CHARTLOOP_DATABASE__URL="postgresql://user:hunter2@db/chartloop", CHARTLOOP_SERVER__PORT="9000")
    rows = {row["name"]: row for row in json.loads(result.stdout)}
    assert rows["server.port"] == {"name": "server.port", "value": "9000", "origin": "environment"}
    assert rows["data"]["origin"] == "command line"
    assert rows["mllp.port"]["origin"] == "default"
    assert "hunter2" not in result.stdout


@pytest.mark.conformance("Command line", "fhir reindex: a job is started and listed")
def test_a_reindex_job_is_started_and_listed(tmp_path, capsys):
    assert run(["fhir", "reindex", "start", "--data", str(tmp_path), "--type", "Patient"]) == 0
    assert "rebuild Patient: waiting, 0 of 0 done" in capsys.readouterr().out
    assert run(["fhir", "reindex", "list", "--data", str(tmp_path), "--json"]) == 0
    [job] = json.loads(capsys.readouterr().out)
    assert (job["kind"], job["types"], job["state"]) == ("rebuild", ["Patient"], "waiting")
    assert run(["fhir", "reindex", "start", "--data", str(tmp_path), "--type", "Nothing"]) == 2
