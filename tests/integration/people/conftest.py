"""The whole product over HTTP, with people in its store and browsers that keep cookies."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from argon2 import PasswordHasher
from werkzeug.test import Client, TestResponse

from chartloop.app import Kernel, open_door, open_kernel
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.reading import sealed_records
from chartloop.kernel.audit.sealer import Sealer
from chartloop.kernel.clock import FakeClock, now_us, set_clock
from chartloop.kernel.config import load_settings
from chartloop.kernel.keys import signing_key
from chartloop.web import build_wsgi
from smart_apps.people import passwords
from smart_apps.people.administration import Administration
from smart_apps.people.person import Person

ROOT = "http://localhost:8080"
PASSWORD = "seven quiet herons"
ADMIN = Subject(id="cli:tests", role="")


@dataclass
class Browser:
    """One browser: cookies, and the form of the page that it looks at."""

    client: Client
    address: str = "192.0.2.7"
    page: str = ""
    root: str = ROOT

    def get(self, path: str, **query: str) -> TestResponse:
        """Follow a link."""
        return self._seen(self.client.get(path, base_url=self.root, query_string=query or None, environ_base={"REMOTE_ADDR": self.address}))

    def post(self, path: str, **fields: str) -> TestResponse:
        """Send a form with the token of the page that was last seen."""
        form = {"csrf": self.field("csrf"), **fields}
        return self._seen(self.client.post(path, base_url=self.root, data=form, environ_base={"REMOTE_ADDR": self.address}))

    def field(self, name: str) -> str:
        """Read a hidden field of the page."""
        found = re.search(rf'name="{name}" value="([^"]*)"', self.page)
        return found[1] if found else ""

    def log_in(self, login: str = "ada", password: str = PASSWORD, next_: str = "") -> TestResponse:
        """Type login and password."""
        self.get("/login", **({"next": next_} if next_ else {}))
        return self.post("/login", login=login, password=password, next=self.field("next"))

    def cookie(self, name: str) -> str:
        """Read a cookie."""
        held = self.client.get_cookie(name, domain="localhost")
        return held.value if held else ""

    def _seen(self, answer: TestResponse) -> TestResponse:
        if answer.mimetype == "text/html" and not 300 <= answer.status_code < 400:
            self.page = answer.get_data(as_text=True)
        return answer


@dataclass
class House:
    """One server and who looks after it."""

    kernel: Kernel
    app: Any
    administration: Administration
    data: Path
    people: dict[str, Person] = field(default_factory=dict)

    def browser(self, address: str = "192.0.2.7") -> Browser:
        """A browser that was never here."""
        return Browser(Client(self.app), address, root=self.kernel.settings.server.base_url)

    def person(self, login: str, role: str = "billing-administrator", password: str = PASSWORD, **facts: str) -> Person:
        """Somebody who chose a password by the link they were given."""
        made, secret = self.administration.add(Person("", login, facts.get("display", login.title()), role, facts.get("user", ""), facts.get("patient", "")))
        browser = self.browser("192.0.2.250")
        browser.get("/login/link", key=secret)
        answer = browser.post("/login/link", key=secret, password=password, repeated=password)
        assert answer.status_code == 303, browser.page
        return made

    def recorded(self, about: str = "") -> list[dict[str, Any]]:
        """The audit log, oldest first, of one subject or target if asked."""
        Sealer(self.kernel.database, self.data, signing_key(self.data / "keys")).seal()
        with self.kernel.database.read() as db:
            rows = sealed_records(db, self.data / "audit", None, 5000)
        records = [msgspec.json.decode(row.body) for row in reversed(rows)]
        return [record for record in records if not about or about in (record["subject"]["id"], *record["targets"])]


Opened = Callable[..., House]


def open_house(stack: ExitStack, data: Path, **said: object) -> House:
    """Build the product on a data directory."""
    settings = load_settings({"data": data, "server.base_url": ROOT, **said})
    kernel = stack.enter_context(open_kernel(settings))
    app = build_wsgi(kernel, open_door(kernel).repository)
    return House(kernel, app, Administration(kernel.database, kernel.audit, kernel.access.policies.roles, ADMIN, 3600), data)


@pytest.fixture(scope="module", autouse=True)
def cheap_hashes() -> Iterator[None]:
    """argon2id with the least memory: its cost is measured elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        patch.setattr(passwords, "_hasher", hasher)
        patch.setattr(passwords, "_NOBODYS", hasher.hash("nobody"))
        yield


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """Opens houses that live as long as the module."""
    with ExitStack() as stack:
        yield lambda **said: open_house(stack, tmp_path_factory.mktemp("house"), **said)


@pytest.fixture(scope="module")
def house(opened: Opened) -> House:
    """One house on SQLite for the whole module."""
    return opened()


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    """A clock that moves only when told to, from this moment on."""
    clock = FakeClock()
    clock.advance((now_us() - clock.now_us()) / 1_000_000)
    before = set_clock(clock)
    yield clock
    set_clock(before)
