"""Charts that another product wrote: the codes and units of Synthea are understood."""

from __future__ import annotations

import bz2
import json
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from predictions.risk.model import Prediction
from predictions.risk.prevent_model import PreventStroke
from predictions.risk.reading import Entry, Limits, chart_to_features, instant_us, recorded


@pytest.mark.long
@pytest.mark.corpus
def test_the_charts_of_synthea_are_understood(corpus: Path) -> None:
    recognised: Counter[str] = Counter()
    predicted = people = 0
    for path in sorted((corpus / "fhir" / "synthea-r4").glob("*.json.bz2")):
        found: dict[str, list[Entry]] = defaultdict(list)
        for entry in json.loads(bz2.decompress(path.read_bytes()))["entry"]:
            resource = entry["resource"]
            found[resource["resourceType"]].append(Entry(resource, f"{resource['resourceType']}/{resource['id']}"))
        if not found["Patient"]:
            continue
        people += 1
        last_us = max(instant_us(recorded(o.resource)) or 0 for o in found["Observation"])
        chart = chart_to_features(found["Patient"][0], found["Observation"], found["Condition"], found["MedicationRequest"], at_us=last_us, limits=Limits())
        recognised.update(name for name, value in chart.values.items() if value.date)
        predicted += isinstance(PreventStroke().predict(chart), Prediction)
    assert people == 62
    assert recognised["systolic-blood-pressure"] == 60
    assert recognised["smoking"] == 62
    assert recognised["total-cholesterol"] == recognised["hdl-cholesterol"] == 31
    assert recognised["antihypertensive"] == 15
    assert (recognised["statin"], recognised["diabetes"], recognised["cardiovascular-disease"]) == (5, 3, 5)
    assert predicted == 15
