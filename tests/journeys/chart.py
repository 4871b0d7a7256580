"""One chart to review: a patient, a note, a claim, and the Task that asks for a coder."""

import base64
from typing import Any

from smart_apps.coder_app.review import ICD10CM, INPUT_SYSTEM, SUGGESTION
from smart_apps.systems import BASE

NOTE = """EMERGENCY DEPARTMENT NOTE
Patient: Zażółć Gęślą        MRN: 000123

CHIEF COMPLAINT
Shortness of breath for three days.

HISTORY OF PRESENT ILLNESS
67-year-old woman with long-standing type 2 diabetes mellitus and essential hypertension who presents with
worsening dyspnea on exertion and ankle swelling. No chest pain. She denies fever or productive cough.
She stopped her furosemide two weeks ago. Former smoker (30 pack-years, quit 2009). 🫀

ASSESSMENT AND PLAN
1. Acute on chronic systolic heart failure: IV furosemide, daily weights, echocardiogram.
2. Type 2 diabetes mellitus with diabetic polyneuropathy: continue metformin, monofilament exam reduced.
3. Hypertension, as above. Heart failure is presumed related.
4. <b onmouseover="alert(1)">Pneumonia</b> was ruled out by chest film.

Follow-up with cardiology in one week.
"""


def suggestion(
    id_: str, code: str, display: str, confidence: float, evidence: str, *reasons: str, disposition: str = "review"
) -> dict[str, Any]:
    """Write one suggestion as the coding consumer does."""
    start = NOTE.index(evidence)
    facts: list[dict[str, Any]] = [
        {"url": "id", "valueString": id_},
        {"url": "confidence", "valueDecimal": confidence},
        {"url": "note", "valueReference": {"reference": "DocumentReference/note-1"}},
        {"url": "start", "valueUnsignedInt": start},
        {"url": "end", "valueUnsignedInt": start + len(evidence)},
        {"url": "model", "valueString": "chartloop-coder 1.0.0"},
        {"url": "disposition", "valueCode": disposition},
        *({"url": "reason", "valueCode": reason} for reason in reasons),
    ]
    return {
        "extension": [{"url": SUGGESTION, "extension": facts}],
        "type": {"coding": [{"system": INPUT_SYSTEM, "code": "suggestion"}]},
        "valueCoding": {"system": ICD10CM, "code": code, "display": display},
    }


def resources() -> list[dict[str, Any]]:
    """Give every resource of the chart."""
    data = base64.b64encode(NOTE.encode()).decode()
    attachment = {"contentType": "text/plain; charset=utf-8", "data": data, "title": "Emergency department note"}
    return [
        {
            "resourceType": "Patient",
            "id": "p1",
            "name": [{"family": "Gęślą", "given": ["Zażółć"]}],
            "birthDate": "1959-03-02",
        },
        {"resourceType": "DocumentReference", "id": "note-1", "content": [{"attachment": attachment}]},
        {"resourceType": "Claim", "id": "c1", "status": "draft", "diagnosis": []},
        task(),
    ]


def task(id_: str = "t1") -> dict[str, Any]:
    """Give the review Task."""
    note = {"type": {"coding": [{"system": INPUT_SYSTEM, "code": "note"}]}}
    return {
        "resourceType": "Task",
        "id": id_,
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": f"{BASE}/CodeSystem/task", "code": "review-coding"}]},
        "focus": {"reference": "Claim/c1"},
        "for": {"reference": "Patient/p1"},
        "encounter": {"reference": "Encounter/e1"},
        "authoredOn": "2026-11-22T08:00:00Z",
        "input": [
            {**note, "valueReference": {"reference": "DocumentReference/note-1"}},
            suggestion(
                "s1", "I50.23", "Acute on chronic systolic (congestive) heart failure", 0.91,
                "Acute on chronic systolic heart failure", "uncertified",
            ),
            suggestion(
                "s2", "E11.42", "Type 2 diabetes mellitus with diabetic polyneuropathy", 0.97,
                "Type 2 diabetes mellitus with diabetic polyneuropathy", disposition="auto",
            ),
            suggestion("s3", "I10", "Essential (primary) hypertension", 0.74, "essential hypertension", "below-threshold"),
            suggestion("s4", "J18.9", "Pneumonia, unspecified organism", 0.31, "Pneumonia", "below-threshold", "negated"),
        ],
    }  # fmt: skip
