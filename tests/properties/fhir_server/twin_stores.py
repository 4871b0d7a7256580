"""Two stores that look alike to one reader: the second lacks every row that is hidden from this reader, and of others every element that is."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from werkzeug.test import Client, TestResponse

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.clock import FakeClock
from chartloop.kernel.errors import ChartloopError
from fhir_server.http.calls import Gate, Limits
from fhir_server.repository import Repository
from fhir_server.search.params import SearchParam, for_type
from fhir_server.store import Store, Stored
from fhir_server.validation.resources import validate
from fhir_server.wsgi import fhir_wsgi
from tests.integration.fhir_server.conftest import BASE
from tests.properties.fhir_server.random_resources import TYPES, Json, resources

PSY: Final[Json] = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}]}
HOST: Final = BASE.removesuffix("/fhir")
OPERATOR: Final = Scope(Subject(id="test:operator", role="operator", scopes=("system/*.cruds",)), "test")
READERS: Final = {
    "billing": Subject(id="test:billing", role="billing-administrator", user="Practitioner/bill", scopes=("user/*.cruds",)),
    "coder": Subject(id="test:coder", role="coder", user="Practitioner/casey", scopes=("user/*.cruds",)),
    "patient": Subject(id="test:patient", role="patient", user="Patient/a", patient="Patient/a", scopes=("patient/*.cruds",)),
    "researcher": Subject(id="test:researcher", role="researcher", user="Practitioner/rita", scopes=("user/*.cruds",)),
    "another ward": Subject(id="test:other", role="clinician", user="Practitioner/c", scopes=("user/*.cruds",)),
    "a ward": Subject(id="test:ward", role="clinician", scopes=("user/*.cruds",)),
}  # fmt: skip
"""Another ward treats none of these patients; a ward is a token without a person, of whom no relation is asked."""
VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "string": ("Smith", "smi", "a,b", "Ase"), "token": ("x", "urn:a|y", "urn:b|", "|z", "true", "final", "finished", "male", "1"), "date": ("2024", "gt2024-02", "le2024-02-29", "ne2025", "ap2024-03-01"),
    "number": ("1", "gt1.04", "0.001"), "quantity": ("1", "gt1||kg", "70", "le100"), "uri": ("http://a.example/vs", "http://a.example", "urn:oid:1.2.3"),
    "reference": ("Patient/a", "a", "Practitioner/b", "Encounter/encounter-1", "DocumentReference/a"), "composite": ("x$1", "y$gt1", "DocumentReference/a$replaces"), "special": ("1|1|1|km",),
}  # fmt: skip
MODIFIERS: Final = ("", "", "", ":missing", ":not", ":exact", ":contains", ":text", ":identifier", ":of-type", ":above", ":below", ":Patient")


def charts(seed: int, each: int) -> list[Json]:
    """Random resources, about half of them labelled, in a random order; the people and places that they name."""
    dice = random.Random(seed)
    made = [{**each_, **({"meta": {**each_.get("meta", {}), **PSY}} if dice.random() < 0.5 else {})} for each_ in resources(seed, each)]
    people: list[Json] = [{"resourceType": "Patient", "id": id_, "name": [{"family": f"Of{id_}"}], "generalPractitioner": [{"reference": "Practitioner/b"}]} for id_ in ("a", "b")]
    dice.shuffle(made)
    return [*people, *({"resourceType": "Practitioner", "id": id_} for id_ in ("a", "b")), *made]


def shown_of(store: Store, reader: Subject, resource: Json) -> Json | None:
    """What a reader sees of a stored resource: all, a part or nothing; what is read through the door itself."""
    try:
        seen: Stored = Repository(store).read(Scope(reader, "read"), resource["resourceType"], resource["id"])
    except ChartloopError:
        return None
    if not seen.redacted:
        return resource
    part = {key: value for key, value in json.loads(seen.body).items() if key != "meta"}
    return {**part, **({"meta": PSY} if resource.get("meta", {}).get("security") else {})}


def pairs(probe: Store, reader: Subject, made: Iterable[Json]) -> list[tuple[Json, Json | None]]:
    """What can be stored, each with what a reader sees of it, tried out in a store of its own; of which a part alone cannot stand is left out."""
    door, found = Repository(probe), []
    for resource in made:
        type_ = resource["resourceType"]
        try:
            door.update(OPERATOR, type_, resource["id"], _bytes(resource))
            seen = shown_of(probe, reader, resource)
            if seen is not None:
                validate(_bytes(seen), type_=type_)
        except ChartloopError:
            continue
        found.append((resource, seen))
    return found


def fill_twins(full: Store, bare: Store, made: list[tuple[Json, Json | None]], clock: FakeClock) -> int:
    """Store charts in one, and in the other what is left of them for a reader; return how many rows differ. Some are deleted again."""
    both, first = (Repository(full), Repository(bare)), (Repository(full),)
    for place, (resource, seen) in enumerate(made):
        clock.advance(1)
        type_, id_ = resource["resourceType"], resource["id"]
        for door, said in zip(both, (resource, seen), strict=True):
            if said is not None:
                door.update(OPERATOR, type_, id_, _bytes(said))
        for door in () if place % 7 < 6 else both if seen is not None else first:
            door.delete(OPERATOR, type_, id_)
    return sum(resource != seen for resource, seen in made)


def _bytes(resource: Json) -> bytes:
    return json.dumps(resource, default=float).encode()


class Asking:
    """A client that speaks for one reader."""

    def __init__(self, store: Store, reader: Subject) -> None:
        self.door = Repository(store)
        self._client = Client(fhir_wsgi(Gate(self.door, lambda _: reader, BASE, Limits(200_000, 200_000))))

    def __call__(self, method: str, path: str, body: object = None, **headers: str) -> TestResponse:
        """Send a request below /fhir/, or follow a link."""
        said = {"Authorization": "Bearer x", "Content-Type": "application/fhir+json", **{name.replace("_", "-"): value for name, value in headers.items()}}
        return self._client.open(path if path.startswith("/fhir") else f"/fhir/{path}", method=method, data=None if body is None else json.dumps(body).encode(), headers=said)


def heard(asking: Asking, method: str, path: str, body: object = None, **headers: str) -> list[object]:
    """Everything that the answer and the pages after it say; a sealed position says nothing, so it is left out."""
    found: list[object] = []
    following: str | None = path
    while following is not None and len(found) < 60:
        answer = asking(method, following, body, **headers)
        data: Any = json.loads(answer.data) if answer.data else None
        links = {link["relation"]: link["url"] for link in data.pop("link", ())} if isinstance(data, dict) else {}
        said = sorted((name, value) for name, value in answer.headers.items() if name.lower() not in ("x-request-id", "content-length"))
        found.append((answer.status_code, said, data, sorted(links), links.get("self", "").replace("&amp;", "&")))
        following = links["next"].removeprefix(HOST) if "next" in links and method == "GET" else None
    return found


def requests(dice: random.Random) -> Iterator[tuple[str, str]]:
    """Yield random requests of every kind that reads, without an end."""
    kinds = (_plain, _plain, _plain, _read, _read, _chain, _has, _included, _everywhere, _history, _compartment)
    while True:
        yield "GET", dice.choice(kinds)(dice)


def _type(dice: random.Random) -> str:
    return dice.choice([*TYPES, "Practitioner"])


def _criterion(dice: random.Random, type_: str) -> str:
    known = for_type(type_)
    param: SearchParam = known[dice.choice(sorted(known))]
    modifier = dice.choice(MODIFIERS)
    value = dice.choice(("true", "false")) if modifier == ":missing" else ",".join(dice.sample(VALUES.get(param.type, ("x",)), 1 if dice.random() < 0.8 else min(2, len(VALUES.get(param.type, ("x",))))))
    return f"{param.code}{modifier}={quote(value, safe=',|/:$')}"


def _results(dice: random.Random, type_: str) -> str:
    sort = dice.choice(("", "-")) + dice.choice([*sorted(for_type(type_)), "_lastUpdated", "_id"])
    ways = ("_total=accurate", "_summary=count", "_count=1", "_count=2&_total=accurate", f"_sort={sort}", f"_sort={sort}&_count=2", "_summary=true", "_summary=text", "_elements=status,description", "_lastUpdated=gt2020", "_security=PSY", "_security:not=PSY")
    return "&".join(dice.sample(ways, dice.choice((0, 1, 1, 2))))


def _joined(*parts: str) -> str:
    return "&".join(part for part in parts if part)


def _plain(dice: random.Random) -> str:
    type_ = _type(dice)
    return f"{type_}?" + _joined(*(_criterion(dice, type_) for _ in range(dice.choice((0, 1, 1, 2)))), _results(dice, type_))


def _read(dice: random.Random) -> str:
    type_ = _type(dice)
    id_ = dice.choice(("a", "b", f"{type_.lower()}-{dice.randrange(5)}", f"{type_.lower()}-{dice.randrange(5)}"))
    return f"{type_}/{id_}" + dice.choice(("", "", "/_history", "/_history/1", "/_history/2", "/$meta", "?_summary=true", "?_elements=status", "/$everything"))


def _chain(dice: random.Random) -> str:
    type_ = _type(dice)
    ways = [param for param in for_type(type_).values() if param.type == "reference"]
    if not ways:
        return _plain(dice)
    param = dice.choice(sorted(ways, key=lambda each: each.code))
    target = dice.choice([each for each in param.targets if each in TYPES] or ["Patient"])
    return f"{type_}?" + _joined(f"{param.code}:{target}.{_criterion(dice, target)}", _results(dice, type_))


def _has(dice: random.Random) -> str:
    source = _type(dice)
    ways = sorted((param for param in for_type(source).values() if param.type == "reference"), key=lambda each: each.code)
    if not ways:
        return _plain(dice)
    param = dice.choice(ways)
    type_ = dice.choice([each for each in param.targets if each in TYPES] or ["Patient"])
    return f"{type_}?" + _joined(f"_has:{source}:{param.code}:{_criterion(dice, source)}", _results(dice, type_))


def _included(dice: random.Random) -> str:
    type_, other = _type(dice), _type(dice)
    ways = [f"{other}:{param.code}" for param in for_type(other).values() if param.type == "reference"] or ["*"]
    own = [f"{type_}:{param.code}" for param in for_type(type_).values() if param.type == "reference"] or ["*"]
    step = dice.choice(("", ":iterate"))
    include = dice.choice((f"_include{step}={dice.choice(sorted(own))}", f"_revinclude{step}={dice.choice(sorted(ways))}", f"_include{step}=*", f"_revinclude{step}=*", "_include:iterate=*&_revinclude:iterate=*"))
    return f"{type_}?" + _joined(include, _results(dice, type_), dice.choice(("", _criterion(dice, type_))))


def _everywhere(dice: random.Random) -> str:
    named = ",".join(dice.sample(list(TYPES), dice.choice((1, 2, 3))))
    return "?" + _joined(dice.choice(("", f"_type={named}")), dice.choice(("_lastUpdated=gt2020", "_id=a,b,observation-1", "_security=PSY", "_id=a&_revinclude=*")), dice.choice(("", "_count=2", "_total=accurate", "_summary=count", "_sort=-_lastUpdated&_count=3")))


def _history(dice: random.Random) -> str:
    return dice.choice(("", f"{_type(dice)}/")) + "_history?" + dice.choice(("", "_count=2", "_count=50", "_since=2026-01-01T00:00:00Z"))


def _compartment(dice: random.Random) -> str:
    place = dice.choice(("Patient/a", "Patient/b", "Encounter/encounter-1", "Practitioner/a", "Practitioner/b", "Patient/patient-1"))
    return f"{place}/{dice.choice(('*', _type(dice)))}?" + dice.choice(("", "_count=1&_total=accurate", "_summary=count", "_sort=_id&_count=2"))
