"""Make the file of summary elements from a FHIR package: python -m fhir_server.spec.generate_summary PACKAGE OUT.

The facts (JSON paths of the elements that R4 marks as summary, per resource type) come from hl7.fhir.r4.core, which is CC0-1.0.
Spec: https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.isSummary
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import zstandard

from fhir_server.spec.definitions import r4
from fhir_server.spec.package import Package, Resource, read_package

_INFRASTRUCTURE = frozenset({"id", "extension"})


def summary_facts(package: Package) -> dict[str, list[str]]:
    """Paths by resource type; below a datatype only where a part of it is no summary element."""
    definitions = {str(each["type"]): each for each in package.of_type("StructureDefinition") if each.get("derivation") != "constraint"}
    parts = {name: found for name, each in definitions.items() if each["kind"] == "complex-type" and (found := _parts(each))}
    facts = {}
    for name in sorted(r4().resource_types):
        elements = definitions[name]["snapshot"]["element"]
        outside = tuple(f"{each['path']}." for each in elements[1:] if not each.get("isSummary"))
        facts[name] = sorted({path for each in elements if not str(each["path"]).startswith(outside) for path in _paths(each, parts)})
    return facts


def _parts(definition: Resource) -> list[str]:
    """Summary elements of a datatype of which something else is none; empty for a datatype that is summary all through."""
    elements = [(str(each["path"]).partition(".")[2], bool(each.get("isSummary"))) for each in definition["snapshot"]["element"]]
    own = [(path, summary) for path, summary in elements if path and path.rpartition(".")[2] not in _INFRASTRUCTURE]
    return [path for path, summary in own if summary] if not all(summary for _, summary in own) else []


def _paths(element: Resource, parts: Mapping[str, list[str]]) -> Iterator[str]:
    path = str(element["path"]).partition(".")[2]
    if not path or not element.get("isSummary"):
        return
    types: list[Mapping[str, Any]] = element.get("type", [])
    for each in types or [{"code": ""}]:
        code = str(each["code"])
        name = path.removesuffix("[x]") + code[:1].upper() + code[1:] if path.endswith("[x]") else path
        if code in ("BackboneElement", "Element"):
            continue
        yield from (f"{name}.{part}" for part in parts[code]) if code in parts else [name]


def compress(facts: Mapping[str, list[str]]) -> bytes:
    """The committed form of the facts."""
    return zstandard.ZstdCompressor(level=22, write_checksum=True).compress(msgspec.json.encode(facts, order="deterministic"))


def main() -> None:
    """Read the package and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", type=Path, help="hl7.fhir.r4.core as tgz, tar or tar.xz")
    parser.add_argument("out", type=Path, help="file to write, for example fhir_server/spec/summary.zst")
    arguments = parser.parse_args()
    arguments.out.write_bytes(compress(summary_facts(read_package(arguments.package))))


if __name__ == "__main__":
    main()
