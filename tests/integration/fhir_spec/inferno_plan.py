"""The test plan of the Inferno US Core 6.1.0 kit, as data, and what it asks of a store that holds examples."""

from __future__ import annotations

import datetime as dt
import json
import re
import tarfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.integration.fhir_spec.search_values import asked
from tests.properties.fhir_server.brute_force import DATE, Range, date_range

Resource = dict[str, Any]
_KINDS = {
    "Reference": "reference", "canonical": "reference", "date": "date", "dateTime": "date", "instant": "date", "Period": "date",
    "HumanName": "string", "Address": "string", "string": "string",
}  # fmt: skip
_ASSERTED = "extension.where(url='http://hl7.org/fhir/StructureDefinition/condition-assertedDate').valueDateTime"


class Search(NamedTuple):
    """One combination of parameters that the plan asks for, by the profile's group."""

    group: str
    type: str
    names: tuple[str, ...]
    expectation: str


class Plan:
    """The groups of the plan by name."""

    def __init__(self, corpus: Path) -> None:
        """Read metadata.yml."""
        with tarfile.open(corpus / "fhir" / "inferno-us-core-6.1.0-metadata.yml.tar.xz") as tar:
            stream = tar.extractfile("metadata.yml")
            assert stream is not None
            self.groups = {group[":name"]: group for group in yaml.safe_load(stream)[":groups"]}

    def searches(self) -> list[Search]:
        """All combinations, whatever the expectation."""
        return [
            Search(name, group[":resource"], tuple(search[":names"]), search[":expectation"])
            for name, group in self.groups.items() for search in group[":searches"]
        ]  # fmt: skip

    def definition(self, search: Search, name: str) -> dict[str, Any]:
        """Paths, type and comparators of one parameter."""
        return self.groups[search.group][":search_definitions"][f":{name}"]

    def asked(self, search: Search, name: str, resource: Resource) -> list[tuple[str, str]]:
        """(modifier, value) pairs of one parameter that must find a resource."""
        kind = self.kind(search, name)
        return [each for value in self.values(search, name, resource) for each in asked(kind, value)]

    def kind(self, search: Search, name: str) -> str:
        """Kind of search parameter that its type of element has."""
        return _KINDS.get(self.definition(search, name)[":type"], "token")

    def values(self, search: Search, name: str, resource: Resource) -> list[Any]:
        """What a resource has under one parameter."""
        return values_at(resource, self.definition(search, name)[":paths"])

    def matches(self, search: Search, name: str, modifier: str, text: str, resource: Resource) -> bool:
        """Whether a resource has a value that is asked for: a string by its beginning, without accents and case."""
        kind = self.kind(search, name)
        if kind == "date":
            prefix, moment = (text[:2], text[2:]) if text[:2] in DATE else ("eq", text)
            return any(DATE[prefix](date_range(moment), value) for value in date_values(self.values(search, name, resource)))
        asked_for = self.asked(search, name, resource)
        return any(_plain(own).startswith(_plain(text)) for _, own in asked_for) if kind == "string" else (modifier, text) in asked_for


def _plain(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(letter for letter in letters if not unicodedata.combining(letter)).split())


def date_values(values: list[Any]) -> Iterator[Range]:
    """The ranges that dates and periods stand for; a Timing has none here."""
    for value in values:
        if isinstance(value, str):
            yield date_range(value)
        elif "start" in value or "end" in value:
            start = date_range(value["start"])[0] if "start" in value else dt.datetime.min.replace(tzinfo=dt.UTC)
            yield start, date_range(value["end"])[1] if "end" in value else dt.datetime.max.replace(tzinfo=dt.UTC)


def values_at(resource: Resource, paths: list[str]) -> list[Any]:
    """The values at some paths, lists flattened; `name` of a choice element stands for each of its types."""
    found: list[Any] = []
    for path in paths:
        if path == _ASSERTED:
            found += [each["valueDateTime"] for each in resource.get("extension", ()) if each["url"].endswith("condition-assertedDate")]
            continue
        here: list[Any] = [resource]
        for step in path.split("."):
            here = [value for holder in here for value in _children(holder, step)]
        found += here
    return found


def _children(holder: Any, name: str) -> Iterator[Any]:
    if isinstance(holder, dict):
        for key, value in holder.items():
            if key == name or re.fullmatch(rf"{name}(DateTime|Period|CodeableConcept|Reference|Date|Timing|Instant)", key):
                yield from value if isinstance(value, list) else [value]


def examples(corpus: Path, archive: str) -> Iterator[Resource]:
    """The resources of an archive of examples."""
    with tarfile.open(corpus / "fhir" / archive) as tar:
        for member in tar:
            stream = tar.extractfile(member)
            if stream is not None and member.name.endswith(".json") and Path(member.name).name != "package.json":
                resource = json.load(stream)
                if "resourceType" in resource and "id" in resource:
                    yield resource
