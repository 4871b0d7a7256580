"""Make ucum_units.json, the compact table of UCUM's prefixes and unit atoms, from its essence file.

Left out are the units on a scale of their own (logarithms, tangents, homeopathic potencies); the temperatures are in the code that reads the table.
Run: python -m terminology.generate_ucum ESSENCE.XML [--out FILE]

Spec: https://ucum.org/ucum
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET  # a trusted file, read at build time only
from pathlib import Path
from typing import Any

import click

from terminology.ucum_code import TABLE

_NAMESPACE = "{http://unitsofmeasure.org/ucum-essence}"
OWN_BASE = frozenset({"mol"})
"""Revisions of UCUM differ in Avogadro's number, so that amounts of substance are never taken for pure numbers here."""


def table(root: ET.Element) -> dict[str, Any]:
    """Prefixes as decimal texts; units as [metric, value, unit], the value empty for a base of its own."""
    prefixes = {each.attrib["Code"]: _value(each).attrib["value"] for each in root.iter(f"{_NAMESPACE}prefix")}
    units: dict[str, list[Any]] = {each.attrib["Code"]: [1, "", ""] for each in root.iter(f"{_NAMESPACE}base-unit")}
    for each in root.iter(f"{_NAMESPACE}unit"):
        if each.get("isSpecial") == "yes":
            continue
        code, metric, value = each.attrib["Code"], int(each.attrib["isMetric"] == "yes"), _value(each)
        own = code in OWN_BASE or (each.get("isArbitrary") == "yes" and value.attrib["Unit"] == "1")
        units[code] = [metric, "", ""] if own else [metric, value.attrib["value"], value.attrib["Unit"]]
    return {"prefixes": prefixes, "units": units}


def _value(element: ET.Element) -> ET.Element:
    value = element.find(f"{_NAMESPACE}value")
    if value is None:
        raise click.ClickException(f"{element.attrib['Code']} has no value.")
    return value


@click.command(help=__doc__)
@click.argument("essence", type=click.Path(exists=True, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=TABLE)
def main(essence: Path, out: Path) -> None:
    """Read the essence and write the table."""
    facts = table(ET.parse(essence).getroot())  # noqa: S314 a trusted file  # nosec B314
    out.write_text(json.dumps(facts, indent=0, ensure_ascii=True) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
