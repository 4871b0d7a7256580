"""Make the file of R4's own code systems and value sets: python -m fhir_server.spec.generate_codes PACKAGE OUT.

Spec: https://hl7.org/fhir/R4/terminologies-systems.html
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import zstandard

from fhir_server.spec.code_facts import code_facts
from fhir_server.spec.package import read_package


def compress(facts: Mapping[str, Any]) -> bytes:
    """The committed form of the facts."""
    return zstandard.ZstdCompressor(level=22, write_checksum=True).compress(msgspec.msgpack.encode(facts, order="deterministic"))


def main() -> None:
    """Read the package and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", type=Path, help="hl7.fhir.r4.core as tgz, tar or tar.xz")
    parser.add_argument("out", type=Path, help="file to write, for example fhir_server/spec/codes.zst")
    arguments = parser.parse_args()
    arguments.out.write_bytes(compress(code_facts(read_package(arguments.package))))


if __name__ == "__main__":
    main()
