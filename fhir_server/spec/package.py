"""Read the conformance resources of a FHIR package archive (tgz, tar or tar.xz).

Spec: https://hl7.org/fhir/R4/packages.html
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Resource = Mapping[str, Any]
_NEEDED = ("StructureDefinition", "SearchParameter", "ValueSet", "CodeSystem", "CompartmentDefinition")


class Package:
    """The conformance resources of one package, by type, in the order of their canonical URLs."""

    def __init__(self, resources: Iterator[Resource]) -> None:
        """Sort the resources so that everything made from them is the same on every machine."""
        ordered = sorted(resources, key=lambda item: (str(item["resourceType"]), str(item.get("url")), str(item["id"])))
        self._by_type: dict[str, list[Resource]] = {name: [] for name in _NEEDED}
        for item in ordered:
            self._by_type[str(item["resourceType"])].append(item)

    def of_type(self, resource_type: str) -> list[Resource]:
        """All resources of one type."""
        return self._by_type[resource_type]

    def by_url(self, resource_type: str) -> dict[str, Resource]:
        """Resources of one type by canonical URL."""
        return {str(item["url"]): item for item in self._by_type[resource_type] if "url" in item}


def read_package(archive: Path) -> Package:
    """Load the definitions from a package archive; examples and other folders are left out."""
    return Package(_resources(archive))


def _resources(archive: Path) -> Iterator[Resource]:
    with tarfile.open(archive) as tar:
        for member in tar:
            name = member.name.removeprefix("./").removeprefix("package/")
            if "/" in name or not name.endswith(".json") or not name.startswith(_NEEDED):
                continue
            stream = tar.extractfile(member)
            if stream is not None:
                resource = json.load(stream)
                if resource.get("resourceType") in _NEEDED:
                    yield resource
