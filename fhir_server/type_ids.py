"""Small integers of the resource types, as they stand in the tables.

Spec: https://hl7.org/fhir/R4/resourcelist.html
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from fhir_server.spec.definitions import r4

TYPE_IDS: Final[Mapping[str, int]] = MappingProxyType(
    {name: number for number, name in enumerate(sorted(r4().resource_types), start=1)}
)
"""R4 is closed, so the position in its sorted list of resource types never changes."""

TYPE_NAMES: Final[Mapping[int, str]] = MappingProxyType({number: name for name, number in TYPE_IDS.items()})
