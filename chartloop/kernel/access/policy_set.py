"""The policy directory: Cedar text, schema and the data files beside it, read once and validated as a whole.

Spec: https://docs.cedarpolicy.com/
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cedarpy

from chartloop.kernel.access.element_paths import expand

SHIPPED: Final = Path(__file__).parents[2] / "policies"


class PolicyError(ValueError):
    """The policies cannot be used."""


@dataclass(frozen=True, slots=True)
class PolicySet:
    """Validated policies.

    Attributes:
        hash: Fingerprint of every file, part of every cache key and of redacted ETags.
        cedar: Parsed policies.
        schema: Parsed schema.
        annotations: Cedar's own policy id -> annotations written in the text.
        groups: Resource type -> groups it belongs to.
        elements: Allow-list name -> resource type -> element paths.
        engines: Engine name -> role.
        roles: Every role that exists.
        actions: Every action that exists.
        scopes: Content of scopes.toml.
    """

    hash: str
    cedar: cedarpy.PolicySet
    schema: cedarpy.Schema
    annotations: Mapping[str, Mapping[str, str]]
    groups: Mapping[str, frozenset[str]]
    elements: Mapping[str, Mapping[str, frozenset[str]]]
    engines: Mapping[str, str]
    roles: tuple[str, ...]
    actions: tuple[str, ...]
    scopes: Mapping[str, Any]


def load(directory: Path | None = None) -> PolicySet:
    """Read and validate the policies of a directory.

    Args:
        directory: Where the files are; None means those that ship with the product.

    Raises:
        PolicyError: A file is missing or malformed, or a policy contradicts the schema.
    """
    folder = directory or SHIPPED
    try:
        files = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.iterdir()) if path.is_file()}
        return _build(files)
    except (OSError, ValueError, KeyError) as error:
        message = f"Policies in {folder} cannot be used: {error}"
        raise PolicyError(message) from error


def _build(files: Mapping[str, str]) -> PolicySet:
    used = {name: text for name, text in files.items() if name.endswith((".cedar", ".cedarschema", ".toml"))}
    text = "\n".join(content for name, content in used.items() if name.endswith(".cedar"))
    schema_text = used["schema.cedarschema"]
    schema = cedarpy.Schema.from_str(schema_text)
    problems = cedarpy.validate_policies(text, schema).errors
    if problems:
        raise PolicyError("; ".join(str(problem) for problem in problems))
    annotations = _annotations(text)
    elements = _elements(tomllib.loads(used["elements.toml"]))
    _check_annotations(annotations, elements)
    roles = _enum(schema_text, "Role")
    engines: dict[str, str] = tomllib.loads(used["engines.toml"])
    _check_names(engines.values(), roles, "engines.toml: no role")
    groups = tomllib.loads(used["groups.toml"])
    _check_names(groups, _enum(schema_text, "Group"), "groups.toml: no group")
    return PolicySet(
        hash=_fingerprint(used),
        cedar=cedarpy.PolicySet.from_str(text),
        schema=schema,
        annotations=annotations,
        groups=_by_type(groups),
        elements=elements,
        engines=engines,
        roles=roles,
        actions=tuple(sorted(set(re.findall(r'"([\w-]+)"', " ".join(_ACTIONS.findall(schema_text)))))),
        scopes=tomllib.loads(used["scopes.toml"]),
    )


_ACTIONS: Final = re.compile(r"^action ((?:\"[\w-]+\"[, ]*)+)(?: in \[[^\]]*\])? *appliesTo", re.MULTILINE)


def _fingerprint(files: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name}\0{len(content)}\0{content}".encode())
    return digest.hexdigest()


def _annotations(text: str) -> dict[str, dict[str, str]]:
    parsed = json.loads(cedarpy.policies_to_json_str(text))
    return {key: policy.get("annotations", {}) for key, policy in parsed["staticPolicies"].items()}


def _check_annotations(annotations: Mapping[str, Mapping[str, str]], elements: Mapping[str, object]) -> None:
    names = [notes.get("id", "") for notes in annotations.values()]
    if "" in names or len(set(names)) != len(names):
        message = "every policy needs an @id of its own"
        raise PolicyError(message)
    _check_names((notes["elements"] for notes in annotations.values() if "elements" in notes), elements, "elements.toml: no allow-list")


def _check_names(names: Any, known: Any, what: str) -> None:
    unknown = sorted(set(names) - set(known))
    if unknown:
        message = f"{what} {', '.join(unknown)}"
        raise PolicyError(message)


def _elements(data: Mapping[str, Mapping[str, list[str]]]) -> dict[str, dict[str, frozenset[str]]]:
    return {
        name: {type_: frozenset(path for pattern in patterns for path in expand(pattern)) for type_, patterns in types.items()}
        for name, types in data.items()
    }


def _by_type(groups: Mapping[str, list[str]]) -> dict[str, frozenset[str]]:
    types = {type_ for members in groups.values() for type_ in members}
    return {type_: frozenset(name for name, members in groups.items() if type_ in members) for type_ in types}


def _enum(schema_text: str, entity: str) -> tuple[str, ...]:
    found = re.search(rf"entity {entity} enum \[(.*?)\]", schema_text, re.DOTALL)
    return tuple(re.findall(r'"([^"]+)"', found.group(1))) if found else ()
