"""What a message wants of the store: a resource, how to find it, and how far it may change what is there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

from ingest.hl7v2.problem import Problem
from ingest.mapping.result_state import Statement

MERGE = "merge"  # create, or set the elements that the message carries
ENSURE = "ensure"  # create if absent, else leave alone
TOUCH = "touch"  # set the elements if the resource exists, else nothing


@lru_cache(maxsize=4096)
def _named(type_: str, system: str, value: str) -> str:
    return f"urn:uuid:{uuid5(NAMESPACE_URL, f'{type_}|{system}|{value}')}"


class Key(NamedTuple):
    """Business identifier that makes a resource the same one in every message."""

    type: str
    system: str
    value: str

    @property
    def reference(self) -> str:
        """Name of the resource inside one set of changes."""
        return _named(self.type, self.system, self.value)

    @property
    def token(self) -> str:
        """Search value that finds it."""
        value = self.value
        for character in "\\$,|":
            value = value.replace(character, f"\\{character}")
        return f"{quote(self.system, safe=':/')}%7C{quote(value, safe='')}"

    @property
    def query(self) -> str:
        """Search that finds it."""
        return f"identifier={self.token}"

    @property
    def identifier(self) -> dict[str, Any]:
        """FHIR Identifier."""
        return {"system": self.system, "value": self.value}


@dataclass(frozen=True, slots=True)
class Change:
    """One resource that a message speaks about.

    Attributes:
        key: How it is found.
        resource: Elements that the message carries; references to other changes are their keys' `reference`.
        policy: MERGE, ENSURE or TOUCH.
        defaults: Elements set only where the stored resource has none.
        clears: Elements that the sender deletes with the HL7 null; `telecom.home` means those of that use.
        other_query: A second search, tried if the key finds nothing; `{Patient}` stands for the patient's stored reference.
        guard: What an older message may still do to a newer resource: "skip" nothing, "fill" elements that are absent, "" no guard.
        part_of: Of a half that came alone, the result which it is a component of, if that is stored.
        statement: Of a result, what the message says about its state; then this decides what holds, not the guard.
    """

    key: Key
    resource: dict[str, Any]
    policy: str = MERGE
    defaults: dict[str, Any] | None = None
    clears: tuple[str, ...] = ()
    other_query: str = ""
    guard: str = ""
    part_of: Key | None = None
    statement: Statement | None = None


class Mapped(NamedTuple):
    """Changes in the order in which they refer to each other, and what could not be mapped."""

    changes: tuple[Change, ...]
    problems: tuple[Problem, ...]


def reference(key: Key, display: str = "") -> dict[str, Any]:
    """FHIR Reference to the resource of a change."""
    return {"reference": key.reference, **({"display": display} if display else {})}
