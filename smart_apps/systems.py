"""Where the identifiers, code systems and extensions of this product have their names; the apps read it as any app would have to."""

BASE = "https://chartloop.example/fhir"
