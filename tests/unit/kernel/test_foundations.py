"""Settings, clock, ids, keys, errors, logs and the process lock."""

import io
import json
import logging
import re
import stat
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from chartloop.kernel import clock, errors, ids, keys
from chartloop.kernel.clock import FakeClock
from chartloop.kernel.config import explain, load_settings
from chartloop.kernel.db import open_database
from chartloop.kernel.errors import ChartloopError, Conflict, Invalid, Issue, NotFound
from chartloop.kernel.logs import configure_logs
from chartloop.kernel.process_lock import ProcessLock
from chartloop.kernel.settings_sections import LogSettings


@pytest.fixture(autouse=True)
def _empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.conformance("Command line", "a setting comes from the command line, then the environment, then the file")
def test_a_setting_comes_from_the_command_line_then_the_environment_then_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "chartloop.toml").write_text("[server]\nport = 1\nthreads = 2\nhost = '10.0.0.1'\n")
    monkeypatch.setenv("CHARTLOOP_SERVER__PORT", "3")
    monkeypatch.setenv("CHARTLOOP_SERVER__THREADS", "4")
    overrides = {"server.port": 5}
    settings = load_settings(overrides)
    assert (settings.server.port, settings.server.threads, settings.server.host, settings.mllp.port) == (5, 4, "10.0.0.1", 2575)
    origins = {name: origin for name, _, origin in explain(settings, overrides)}
    assert origins["server.port"] == "command line"
    assert origins["server.threads"] == "environment"
    assert origins["server.host"] == "chartloop.toml"
    assert origins["mllp.port"] == "default"


def test_a_password_is_masked_when_settings_are_shown() -> None:
    settings = load_settings({"database.url": "postgresql://ann:hunter2@db.example/chartloop"})
    [value] = [value for name, value, _ in explain(settings) if name == "database.url"]
    assert value == "postgresql://ann:********@db.example/chartloop"


def test_the_embedded_database_lies_in_the_data_directory() -> None:
    assert load_settings({"data": "/x y"}).database_url == "sqlite:////x y/chartloop.sqlite3"


@pytest.mark.parametrize("bad", [{"server.prot": 1}, {"server.port": "many"}, {"bus.url": "kafka://x"}])
def test_a_wrong_setting_is_refused_in_a_sentence(bad: dict[str, object]) -> None:
    with pytest.raises(Invalid) as caught:
        load_settings(bad)
    assert next(iter(bad)).partition(".")[0] in str(caught.value)


def test_a_settings_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "chartloop.toml").write_text("[server\n")
    with pytest.raises(Invalid, match=r"chartloop\.toml"):
        load_settings()


def test_an_instant_is_written_and_read() -> None:
    assert clock.iso(clock.parse_iso("2026-11-22T08:00:00.123Z")) == "2026-11-22T08:00:00.123Z"
    assert clock.parse_iso("2026-11-22T09:00:00+01:00") == clock.parse_iso("2026-11-22T08:00:00Z")
    assert clock.iso(0) == "1970-01-01T00:00:00.000Z"


@pytest.mark.parametrize("text", ["2026-11-22T08:00:00", "yesterday", ""])
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        clock.parse_iso(text)


def test_the_fake_clock_moves_when_told(fake_clock: FakeClock) -> None:
    before, start = clock.now_us(), clock.monotonic_s()
    fake_clock.advance(1.5)
    assert (clock.now_us() - before, clock.monotonic_s() - start) == (1_500_000, 1.5)


def test_the_id_of_a_request_is_a_random_uuid() -> None:
    made = [uuid.UUID(ids.request_id()) for _ in range(1000)]
    assert len(set(made)) == 1000
    assert {(each.version, each.variant) for each in made} == {(4, uuid.RFC_4122)}
    assert {str(each)[19] for each in made} == set("89ab")


def test_a_public_id_fits_a_fhir_id_and_is_random() -> None:
    made = {ids.public_id() for _ in range(1000)}
    assert len(made) == 1000
    assert all(re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", each) for each in made)


@pytest.mark.conformance("Access", "keys are made once and only their owner may read them")
def test_a_secret_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    first = keys.hmac_secret(tmp_path / "keys")
    assert keys.hmac_secret(tmp_path / "keys") == first
    assert len(first) == 32
    assert stat.S_IMODE((tmp_path / "keys" / "hmac.key").stat().st_mode) == 0o600
    message = b"head"
    keys.signing_key(tmp_path / "keys").public_key().verify(keys.signing_key(tmp_path / "keys").sign(message), message)
    assert len(list((tmp_path / "keys").iterdir())) == 2


def test_every_error_has_a_category_of_its_own_and_a_sentence() -> None:
    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, ChartloopError)]
    assert len({each.category for each in classes}) == len(classes) == 14
    assert all(str(each()).endswith(".") for each in classes)


def test_an_error_carries_its_issues() -> None:
    assert NotFound().issues == (Issue("error", "not-found", "There is nothing here.", ""),)
    two = Invalid(issues=[Issue("error", "value", "One.", "Patient.name"), Issue("error", "value", "Two.")])
    assert (str(two), len(two.issues)) == ("One.", 2)
    assert Invalid("Wrong.", code="value", expression="Claim.id").issues == (Issue("error", "value", "Wrong.", "Claim.id"),)


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = root.handlers, root.level
    out = io.StringIO()
    configure_logs(LogSettings(level="INFO", format="json"), out)
    yield out
    root.handlers = before
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.conformance("Attacks", "100: log lines carry no text of exceptions, no tokens and no patient fields")
def test_a_log_line_is_a_sentence_an_action_and_no_patient(stream: io.StringIO) -> None:
    structlog.get_logger("test").info("A message came.", action="message.received", patient="Doe", nested={"Token": "t", "count": 1})
    line = json.loads(stream.getvalue())
    assert line["event"] == "A message came."
    assert line["action"] == "message.received"
    assert line["patient"] == "[masked]"
    assert line["nested"] == {"Token": "[masked]", "count": 1}
    assert line["level"] == "info"


def test_other_libraries_are_logged_the_same_way(stream: io.StringIO) -> None:
    logging.getLogger("library").warning("Slow.", extra={"action": "slow", "password": "hunter2"})
    logging.getLogger("library").debug("not at this level")
    [line] = stream.getvalue().splitlines()
    assert json.loads(line)["password"] == "[masked]"
    assert json.loads(line)["action"] == "slow"


@pytest.mark.conformance("Attacks", "100: log lines carry no text of exceptions, no tokens and no patient fields")
def test_an_exception_is_logged_without_its_text(stream: io.StringIO) -> None:
    try:
        raise ValueError("Mrs Doe, born 1950")
    except ValueError:
        logging.getLogger("library").exception("It failed.")
        structlog.get_logger("test").exception("It failed again.")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["error"] for line in lines] == ["ValueError", "ValueError"]
    assert all("test_foundations" in line["at"] for line in lines)
    assert "Doe" not in stream.getvalue()


def test_columns_are_for_a_terminal() -> None:
    out = io.StringIO()
    root = logging.getLogger()
    before, level = root.handlers, root.level
    try:
        configure_logs(LogSettings(format="console"), out)
        structlog.get_logger("test").info("A message came.", action="message.received")
    finally:
        root.handlers = before
        root.setLevel(level)
        structlog.reset_defaults()
    assert "A message came." in out.getvalue()
    assert "action=message.received" in out.getvalue()


def test_a_second_process_is_refused_in_one_sentence(tmp_path: Path) -> None:
    script = f"from pathlib import Path; from chartloop.kernel.process_lock import ProcessLock; ProcessLock(Path({str(tmp_path)!r}))"
    root = Path(__file__).resolve().parents[3]
    with ProcessLock(tmp_path):
        refused = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False)
        assert "Conflict: Another chartloop process" in refused.stderr
        with pytest.raises(Conflict):
            ProcessLock(tmp_path)
    assert subprocess.run([sys.executable, "-c", script], cwd=root, check=False).returncode == 0


@pytest.mark.parametrize("url", ["mysql://x", "sqlite:///x?synchronous=OFF", "postgresql://host:port:port/x?nonsense=1"])
def test_a_database_url_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(ChartloopError):
        open_database(url)
