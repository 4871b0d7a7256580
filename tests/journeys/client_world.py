"""A real server with a chart, people who log in, and apps that were registered by the commands of the documentation."""

import json
import shlex
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from click.testing import CliRunner
from joserfc.jwk import ECKey, RSAKey

from chartloop.app import open_kernel
from chartloop.cli.main import chartloop
from chartloop.demo.processes import Parts
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.auth import issue_for_cli
from chartloop.kernel.config import load_settings
from smart_apps.people import person
from smart_apps.people.administration import Administration
from smart_apps.people.passwords import hashed
from smart_apps.people.person import Person
from tests.journeys.app_server import AppServer, app_server
from tests.journeys.snippets import command_line

PASSWORD = "seven quiet herons"
LABORATORY = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}
GLUCOSE = {"coding": [{"system": "http://loinc.org", "code": "2339-0"}]}


@dataclass
class ClientWorld:
    """Where things are.

    Attributes:
        root: The server, without a path.
        app: Serves the files of the app, at another origin.
        keys: Private keys of the asymmetric clients, by algorithm.
        secrets: Secrets that were printed when clients were registered.
    """

    root: str
    app: AppServer
    keys: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def addresses(self) -> dict[str, str]:
        """What stands in the place of the addresses of the documentation."""
        return {"ehr": self.root, "app": self.app.origin}

    def fhir(self, token: str, path: str) -> httpx.Response:
        """Read the FHIR API."""
        return httpx.get(f"{self.root}/fhir/{path}", headers={"Authorization": f"Bearer {token}"}, trust_env=False)


@contextmanager
def client_world(data: Path, apps: Sequence[str]) -> Iterator[ClientWorld]:
    """Start it all with some of the apps that the documentation registers, and end it."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        port, mllp = one.getsockname()[1], two.getsockname()[1]
    root = f"http://127.0.0.1:{port}"
    said = {"CHARTLOOP_SERVER__BASE_URL": root, "CHARTLOOP_SERVER__PORT": str(port), "CHARTLOOP_MLLP__PORT": str(mllp), "CHARTLOOP_DATA": str(data)}
    with app_server() as app, Parts(data) as parts:
        world = ClientWorld(root, app)
        _keys(world, data)
        operator = _people(data, root)
        for name in apps:
            _register(world, data, name, said)
        parts.start("serve", ["chartloop", "serve"], said, ready=f"{root}/readyz")
        _chart(root, operator)
        yield world


def _keys(world: ClientWorld, data: Path) -> None:
    world.keys = {
        "RS384": RSAKey.generate_key(2048, {"kid": "rsa", "alg": "RS384"}, private=True),
        "ES384": ECKey.generate_key("P-384", {"kid": "ec", "alg": "ES384"}, private=True),
    }
    public = [key.as_dict(private=False) for key in world.keys.values()]
    (data / "public-keys.json").write_text(json.dumps({"keys": public}))


def _people(data: Path, root: str) -> str:
    """Add a clinician and a patient with passwords; gives a token that can write the chart."""
    settings = load_settings({"data": data, "server.base_url": root})
    with open_kernel(settings) as kernel:
        roles = kernel.access.policies.roles
        desk = Administration(kernel.database, kernel.audit, roles, Subject(id="cli:tests", role=""), 3600)
        for who in (Person("", "ada", "Dr. Ada Łoś", "clinician", "Practitioner/7"), Person("", "anna", "Anna Nowak", "patient", "Patient/anna", "Patient/anna")):
            made, _ = desk.add(who)
            kernel.database.write(lambda tx, id_=made.id: person.set_password(tx, id_, hashed(PASSWORD)))  # type: ignore[misc]
        return kernel.database.write(lambda tx: issue_for_cli(tx, kernel.access.policies, "operator", user="", patient="", scopes=[], ttl_s=600))


def _register(world: ClientWorld, data: Path, name: str, said: dict[str, str]) -> None:
    line = command_line(name, **world.addresses).replace("public-keys.json", str(data / "public-keys.json"))
    program, *arguments = shlex.split(line)
    assert program == "chartloop"
    done = CliRunner().invoke(chartloop, arguments, standalone_mode=False, env=said, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    if "secret: " in done.stdout:
        world.secrets[name] = done.stdout.partition("secret: ")[2].split()[0]


def _chart(root: str, token: str) -> None:
    """One patient with five laboratory values, and one whom the clinician does not treat."""
    listed: list[dict[str, Any]] = [
        {"resourceType": "Practitioner", "id": "7", "name": [{"family": "Łoś", "given": ["Ada"]}]},
        {"resourceType": "Patient", "id": "anna", "name": [{"family": "Nowak", "given": ["Anna"]}], "birthDate": "1980-02-03", "generalPractitioner": [{"reference": "Practitioner/7"}]},
        {"resourceType": "Patient", "id": "berta", "name": [{"family": "Berg", "given": ["Berta"]}]},
        *(_value(f"anna-{day}", "anna", day) for day in range(1, 6)),
        _value("berta-1", "berta", 1),
    ]
    entries = [{"resource": each, "request": {"method": "PUT", "url": f"{each['resourceType']}/{each['id']}"}} for each in listed]
    body = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    answer = httpx.post(f"{root}/fhir", json=body, headers={"Authorization": f"Bearer {token}"}, timeout=30, trust_env=False)
    assert answer.status_code == 200, answer.text


def _value(id_: str, patient: str, day: int) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "id": id_, "status": "final", "category": [LABORATORY], "code": GLUCOSE, "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": f"2026-11-{day:02}", "valueQuantity": {"value": 90 + day, "unit": "mg/dL"},
    }  # fmt: skip
