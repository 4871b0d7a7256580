"""The label of a model: the 31 source attributes of a predictive decision support intervention, as data.

Spec: 45 CFR 170.315(b)(11)(iv)(B), HTI-1 final rule
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from string import Template
from typing import Any, Final

from chartloop.kernel.errors import Invalid

LABELS: Final = Path(__file__).parent / "labels"
ATTRIBUTES: Final = 31
KEYS: Final = frozenset({"number", "section", "attribute", "value"})
DEMO: Final = "For demonstration only: the people are made up."
SITE: Final = "Only where the site has read the record of its validation."

Attribute = dict[str, Any]


@cache
def shipped_label(model_id: str) -> list[Attribute]:
    """Return the attributes that ship for a model; those of a trained model still have $places for its figures."""
    return checked(json.loads((LABELS / f"{model_id}.json").read_text(encoding="utf-8")))


def checked(attributes: object) -> list[Attribute]:
    """Return a label's attributes if they are the 31, in order, each with text.

    Raises:
        Invalid: They are not.
    """
    if not isinstance(attributes, list) or [a.get("number") for a in attributes if isinstance(a, dict)] != list(range(1, ATTRIBUTES + 1)):
        raise Invalid("A model label has 31 attributes, numbered from 1.")
    if any(set(a) != KEYS or not str(a["value"]).strip() for a in attributes):
        raise Invalid("Each attribute of a model label has number, section, attribute and value; what is not known says unknown.")
    return attributes


def document(model_id: str, version: str, title: str, attributes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a label as it is served: {"model", "version", "title", "attributes": [31 of {number, section, attribute, value}]}."""
    return {"model": model_id, "version": version, "title": title, "attributes": [dict(a) for a in attributes]}


def trained_label(model_id: str, facts: Mapping[str, Any], validation: Mapping[str, Any]) -> list[Attribute]:
    """Fill the places of a trained model's label with its facts and figures."""
    use = DEMO if validation["demo"] else SITE
    places: dict[str, Any] = {**validation, **facts, "years": f"{facts['years']:g}", "use": use, "local": _local(validation)}
    for sex, figures in validation["by_sex"].items():
        places |= {f"{sex}_{name}": value for name, value in figures.items()}
    shown = {name: "unknown" if value is None else value for name, value in places.items()}
    return [{**a, "value": Template(a["value"]).substitute(shown)} for a in shipped_label(model_id)]


def _local(validation: Mapping[str, Any]) -> str:
    return "unknown: measured on made-up people alone." if validation["demo"] else "See 21 and 22, measured on people held out."
