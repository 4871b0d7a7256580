"""Decide with oso: the third opinion on who may see what."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from oso import Oso

from chartloop.kernel.access.policy_set import SHIPPED
from chartloop.kernel.access.rows import RowAttributes
from chartloop.kernel.access.subject import Subject


@dataclass(frozen=True)
class Someone:
    """A subject as Polar sees it."""

    role: str
    user: str
    patient: str


@dataclass(frozen=True)
class Thing:
    """A row as Polar sees it."""

    type: str
    group: str
    labels: list[str]
    patient: str
    owner: str
    insurer: str
    facts: list[str]


@cache
def _oso() -> Oso:
    oso = Oso()
    oso.register_class(Someone)
    oso.register_class(Thing)
    oso.load_files([str(Path(__file__).with_name("oracle.polar"))])
    return oso


@cache
def _groups() -> dict[str, str]:
    groups = tomllib.loads((SHIPPED / "groups.toml").read_text(encoding="utf-8"))
    return {type_: name for name, members in groups.items() for type_ in members}


def permitted_by_oso(subject: Subject, action: str, row: RowAttributes, true: set[str]) -> bool:
    """Decide one row; scopes are not oso's matter."""
    who = Someone(subject.role, subject.user, subject.patient)
    thing = Thing(row.type, _groups().get(row.type, ""), sorted(row.labels), row.patient, row.owner, row.insurer, sorted(true))
    return bool(_oso().is_allowed(who, action, thing))
