"""A coder in a script: the same HTTP calls as the review app, decisions from what the demo knows of its own notes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from chartloop.demo.fhir_client import FhirClient, Resource
from chartloop.demo.population_ids import BASE

OUTPUT = f"{BASE}/CodeSystem/task-output"
SUGGESTION = f"{BASE}/StructureDefinition/suggestion"
DECISION = f"{BASE}/StructureDefinition/decision"
ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"
OPEN_REVIEWS = f"Task?code={BASE}/CodeSystem/task|review-coding&status=requested,in-progress&_count=50"


@dataclass(frozen=True, slots=True)
class Suggested:
    """One suggestion of a review Task."""

    id: str
    coding: Mapping[str, Any]
    disposition: str

    @property
    def code(self) -> str:
        return str(self.coding["code"])


def suggestions(task: Resource) -> list[Suggested]:
    """What the coder model suggested, in the order of the Task."""
    found = []
    for item in task.get("input", ()):
        for extension in item.get("extension", ()):
            if extension["url"] == SUGGESTION:
                parts = {part["url"]: next(value for key, value in part.items() if key.startswith("value")) for part in extension["extension"]}
                found.append(Suggested(parts["id"], item["valueCoding"], parts.get("disposition", "review")))
    return found


def decisions(task: Resource, truth: Iterable[str]) -> list[Resource]:
    """Accept what is true, reject what is not, add what was missed, and tick the chart.

    Without a known truth the first suggestion is accepted and the others are rejected.
    """
    offered = [suggestion for suggestion in suggestions(task) if suggestion.disposition == "review"]
    known = list(truth) or [suggestion.code for suggestion in offered[:1]]
    appended = {suggestion.code for suggestion in suggestions(task) if suggestion.disposition == "auto"}
    outputs, seen = [], set(appended)
    for suggestion in offered:
        verdict = "accept" if suggestion.code in known and suggestion.code not in seen else "reject"
        if verdict == "accept":
            seen.add(suggestion.code)
        outputs.append(_output(verdict, suggestion.coding, suggestion.id))
    outputs += [_output("add", {"system": ICD10CM, "code": code}, "") for code in known if code not in seen]
    outputs.append({"type": {"coding": [{"system": OUTPUT, "code": "chart-complete"}]}, "valueBoolean": True})
    return outputs


def _output(verdict: str, coding: Mapping[str, Any], suggestion: str) -> Resource:
    output: Resource = {"type": {"coding": [{"system": OUTPUT, "code": verdict}]}, "valueCoding": dict(coding)}
    parts: list[Resource] = [{"url": "suggestion", "valueString": suggestion}] if suggestion else []
    if verdict == "reject":
        parts.append({"url": "reason", "valueCode": "not-supported"})
    if parts:
        output["extension"] = [{"url": DECISION, "extension": parts}]
    return output


def review(client: FhirClient, task: Resource, user: str, truth: Iterable[str]) -> Resource:
    """Claim a Task, then complete it; both under If-Match."""
    claimed = client.put({**task, "status": "in-progress", "owner": {"reference": user}}, if_match=_etag(task))
    done = {**claimed, "status": "completed", "output": decisions(claimed, truth)}
    return client.put(done, if_match=_etag(claimed))


def _etag(resource: Resource) -> str:
    return f'W/"{resource["meta"]["versionId"]}"'
