"""Labelling rules as data: code sets, patterns for titles and openings, references that hand labels on."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from chartloop.kernel.access.labels import LABELS

SHIPPED: Final = Path(__file__).parent / "rules.toml"


@dataclass(frozen=True, slots=True)
class CodeRule:
    """Codes of one system that carry a label."""

    label: str
    codes: frozenset[str]
    prefixes: tuple[str, ...]
    excluded: tuple[str, ...]
    code_set: str = ""

    def matches(self, code: str) -> bool:
        """Whether a code is in the set."""
        return code in self.codes or (code.startswith(self.prefixes) and not (self.excluded and code.startswith(self.excluded)))

    def entry(self, code: str) -> str | None:
        """Name the entry of the set that a code is under: itself, or "F3*"; None if it is not in the set."""
        if not self.matches(code):
            return None
        return code if code in self.codes else next(f"{prefix}*" for prefix in self.prefixes if code.startswith(prefix))


@dataclass(frozen=True, slots=True)
class TextRule:
    """Words that carry a label: in the title of a document, or in its opening lines."""

    label: str
    where: str
    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Rules:
    """Every rule, ready to use.

    Attributes:
        by_system: Code system -> its rules.
        texts: Patterns.
        without_codes: Types whose codes are not looked at.
        inherit: Type -> paths of references whose labels it takes over.
    """

    by_system: Mapping[str, tuple[CodeRule, ...]]
    texts: tuple[TextRule, ...]
    without_codes: frozenset[str]
    inherit: Mapping[str, tuple[tuple[str, ...], ...]]


def load(path: Path | None = None) -> Rules:
    """Read the rules.

    Args:
        path: A TOML file; None means the rules that ship with the product.

    Raises:
        ValueError: A rule names a label or a system that does not exist.
    """
    data = tomllib.loads((path or SHIPPED).read_text(encoding="utf-8"))
    return Rules(
        by_system=_by_system(data),
        texts=tuple(TextRule(_label(rule), rule["where"], re.compile(rule["pattern"], re.IGNORECASE)) for rule in data.get("text", [])),
        without_codes=frozenset(data["types"]["without_codes"]),
        inherit={type_: tuple(tuple(path.split(".")) for path in paths) for type_, paths in data["inherit"].items()},
    )


def _by_system(data: Mapping[str, Any]) -> dict[str, tuple[CodeRule, ...]]:
    rules: dict[str, list[CodeRule]] = {}
    for entry in data["code"]:
        rule = CodeRule(_label(entry), frozenset(entry.get("codes", ())), tuple(entry.get("prefixes", ())), tuple(entry.get("except", ())), entry["system"])
        if entry["system"] not in data["systems"]:
            raise ValueError(f"labelling rule for unknown system {entry['system']}")
        for system in data["systems"][entry["system"]]:
            rules.setdefault(system, []).append(rule)
    return {system: tuple(found) for system, found in rules.items()}


def _label(entry: Mapping[str, Any]) -> str:
    label = str(entry["label"])
    if label not in LABELS:
        raise ValueError(f"labelling rule for unknown label {label}")
    return label
