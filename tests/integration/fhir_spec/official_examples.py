"""The official examples of R4 as they lie in the corpus, and those that break R4's own rules."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

# Examples that R4 itself would refuse: the reason and the place.
REFUSED = {
    "ActivityDefinition-blood-tubes-supply.json": ("txt-2: the narrative has no text", "ActivityDefinition.text.div"),
    "ActivityDefinition-heart-valve-replacement.json": ("txt-2: the narrative has no text", "ActivityDefinition.text.div"),
    "Questionnaire-zika-virus-exposure-assessment.json": ("txt-2: the narrative has no text", "Questionnaire.text.div"),
    "DeviceUseStatement-example.json": ("refers to a type that is not among the targets", "DeviceUseStatement.reasonReference[0].reference"),
    "MedicationRequest-medrx0301.json": ("refers to a type that is not among the targets", "MedicationRequest.dispenseRequest.performer.reference"),
    "Observation-clinical-gender.json": ("refers to a type that is not among the targets", "Observation.performer[0].reference"),
}


def official_examples(corpus: Path) -> Iterator[tuple[str, bytes]]:
    """(file name, bytes) of each example."""
    with tarfile.open(corpus / "fhir" / "r4-examples-4.0.1.tar.xz") as tar:
        for member in tar:
            stream = tar.extractfile(member)
            if stream is not None and member.name.endswith(".json") and member.name != "package.json":
                yield member.name, stream.read()
