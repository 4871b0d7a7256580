"""A trained model's directory: model.txt, model.json, validation.json, label.json; written whole, and read only if they belong together."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from chartloop.kernel.errors import Invalid
from predictions.risk.model_label import checked, trained_label
from predictions.risk.train import Trained, version_of

TREES: Final = "model.txt"
FACTS: Final = "model.json"
VALIDATION: Final = "validation.json"
LABEL: Final = "label.json"
FILES: Final = (TREES, FACTS, VALIDATION, LABEL)
Signature = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class Record:
    """What the four files say."""

    trees: str
    facts: dict[str, Any]
    validation: dict[str, Any]
    label: list[dict[str, Any]]


def write_model(trained: Trained, directory: Path) -> None:
    """Write the four files; a reader that comes in between finds that they do not belong together, and waits for the last."""
    directory.mkdir(parents=True, exist_ok=True)
    label = trained_label(trained.facts["id"], trained.facts, trained.validation)
    contents = {
        TREES: trained.trees,
        FACTS: json.dumps(trained.facts, indent=1) + "\n",
        LABEL: json.dumps(label, indent=1) + "\n",
        VALIDATION: json.dumps(trained.validation, indent=1) + "\n",
    }
    for name, text in contents.items():
        fresh = directory / f".{name}.new"
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(directory / name)


def adopt_model(candidate: Path, directory: Path) -> dict[str, Any]:
    """Put a trained model in the place of another, and return its validation record; the candidate is used up.

    Raises:
        Invalid: There is no candidate, or its files do not belong together.
    """
    record = read_model(candidate)
    directory.mkdir(parents=True, exist_ok=True)
    for name in (TREES, FACTS, LABEL, VALIDATION):
        (candidate / name).replace(directory / name)
    return record.validation


def signature(directory: Path) -> Signature:
    """Return what changes when a file of the directory does: names, sizes, times of change; empty where there is no model."""
    found = []
    for name in FILES:
        try:
            status = (directory / name).stat()
        except OSError:
            continue
        found.append((name, status.st_size, status.st_mtime_ns))
    return tuple(found)


def read_model(directory: Path) -> Record:
    """Read a model and its records.

    Raises:
        Invalid: A file is absent or cannot be read, or the files do not belong together; one sentence says which.
    """
    try:
        trees = (directory / TREES).read_text(encoding="utf-8")
        facts, validation, label = (json.loads((directory / name).read_text(encoding="utf-8")) for name in (FACTS, VALIDATION, LABEL))
    except FileNotFoundError as error:
        raise Invalid(f"{Path(error.filename or '').name} is absent.") from None
    except (OSError, ValueError) as error:
        raise Invalid(f"A file cannot be read: {type(error).__name__}.") from None
    try:
        if facts["version"] != version_of(trees, facts):
            raise Invalid("model.txt and model.json do not belong together.")
        if (validation["model"], validation["version"]) != (facts["id"], facts["version"]) or not isinstance(validation["demo"], bool):
            raise Invalid("validation.json is of another model.")
    except (KeyError, TypeError):
        raise Invalid("model.json or validation.json lacks a field.") from None
    return Record(trees, facts, validation, checked(label))
