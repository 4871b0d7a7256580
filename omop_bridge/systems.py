"""Where the identifiers and extensions of this product have their names."""

from typing import Final

BASE: Final = "https://chartloop.example/fhir"
