"""The roles that the policies know, in words: the names of the policies that permit something to each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import cedarpy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


def roles_in_words(roles: Sequence[str], directory: Path) -> dict[str, list[str]]:
    """Give every role with the permits that name it, as sentences; a forbid may still take away from them.

    Args:
        roles: Roles that the policies know.
        directory: Where the policies are.
    """
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(directory.glob("*.cedar")))
    found: dict[str, set[str]] = {role: set() for role in roles}
    for policy in json.loads(cedarpy.policies_to_json_str(text))["staticPolicies"].values():
        if policy["effect"] == "permit":
            for role in found.keys() & set(_roles(policy)):
                found[role].add(policy["annotations"]["id"].replace("-", " "))
    return {role: sorted(words) for role, words in found.items()}


def _roles(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if value.get("type") == "Role" and isinstance(value.get("id"), str):
            yield value["id"]
        for inner in value.values():
            yield from _roles(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _roles(inner)
