"""Make the compact facts file from a FHIR package: python -m fhir_server.spec.generate PACKAGE OUT.

The facts (paths, types, cardinalities, codes, constraints, expressions) come from hl7.fhir.r4.core, which is CC0-1.0.
The output depends on the package alone, so a test can make it again and compare.
Spec: https://hl7.org/fhir/R4/downloads.html
"""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec
import zstandard

from fhir_server.spec.constraint_facts import constraint_facts
from fhir_server.spec.package import Package, read_package
from fhir_server.spec.search_facts import compartment_facts, search_facts, search_ids
from fhir_server.spec.structure_facts import StructureFacts
from fhir_server.spec.value_set_facts import ValueSetFacts

LEVEL = 22


def make_facts(package: Package) -> bytes:
    """Uncompressed facts: a msgpack map whose values decode on their own, so that a reader pays for what it reads."""
    structures = StructureFacts(package)
    expansions = ValueSetFacts(package)
    parameters = search_facts(package)
    constraints, constrained = constraint_facts(package)
    sections: dict[str, object] = {
        "about": {"fhirVersion": "4.0.1", "source": "hl7.fhir.r4.core#4.0.1", "licence": "CC0-1.0"},
        "types": {name: structures.types[name] for name in sorted(structures.types)},
        "targets": structures.targets,
        "valueSets": [[url, expansions.expand(url)] for url in structures.value_sets],
        "constraints": constraints,
        "constrained": constrained,
        "codeSystems": sorted(package.by_url("CodeSystem")),
        "searchParameters": parameters,
        "searchIds": search_ids(parameters, structures.types),
        "compartments": compartment_facts(package),
    }
    return msgspec.msgpack.encode(sections, order="deterministic")


def compress(facts: bytes) -> bytes:
    """The committed form of the facts."""
    return zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compress(facts)


def main() -> None:
    """Read the package and write the facts file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", type=Path, help="hl7.fhir.r4.core as tgz, tar or tar.xz")
    parser.add_argument("out", type=Path, help="facts file to write, for example fhir_server/spec/r4.zst")
    arguments = parser.parse_args()
    arguments.out.write_bytes(compress(make_facts(read_package(arguments.package))))


if __name__ == "__main__":
    main()
