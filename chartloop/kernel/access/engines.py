"""Subjects of the engines: the program names an engine, the policies know its role."""

from __future__ import annotations

from chartloop.kernel.access.policy_set import PolicySet
from chartloop.kernel.access.subject import Subject


def engine_subject(policies: PolicySet, name: str) -> Subject:
    """Build the subject of an engine named in engines.toml, with system scopes and the purpose of scopes.toml.

    Raises:
        KeyError: There is no engine of this name.
    """
    purpose = policies.scopes["purposes"].get(name, "TREAT")
    return Subject(id=f"engine:{name}", role=policies.engines[name], scopes=tuple(policies.scopes["default"]), purpose=purpose)
