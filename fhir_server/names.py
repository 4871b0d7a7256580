"""The base of this product's own names: code systems, operations."""

from typing import Final

BASE: Final = "https://chartloop.example/fhir"
