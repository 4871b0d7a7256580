"""A CDS service of somebody else, for the EHR's own tests: literal CDS Hooks over HTTP, and ways to misbehave."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask, Response, request
from werkzeug.serving import make_server

from tests.journeys import risk_chart

RISKS = "RiskAssessment?patient={{context.patientId}}&_sort=-date&_count=10"
SERVICE = {
    "hook": "patient-view",
    "id": "stroke-risk",
    "title": "Stroke risk",
    "description": "The stored estimate of the risk of stroke.",
    "prefetch": {"patient": "Patient/{{context.patientId}}", "risk": RISKS},
}
CARD_ID = "5f2c6b62-3ab1-4b7e-9f0e-0d2f1c3b4a59"
DETAIL = """10-year risk of stroke **5.7 %**; baseline 2.8 % (a woman of 60 with the reference values of the equation).

| Factor | Value | Date | Direction | Size |
| --- | --- | --- | --- | ---: |
| Diabetes | yes | 2019-04-02 | raises | +0.50 |
| Systolic blood pressure | 158 mmHg | 2026-11-20 | raises | +0.28 |
| Smoking | no | 2026-11-20 | lowers | -0.15 |

Not recorded: HDL cholesterol, body mass index. Model prevent-stroke-10y 1.0.0, 2026-11-20 08:10 UTC.
"""


def card(launch_url: str, risk: str, base: str) -> dict[str, Any]:
    """Write the card as the product's own service is to write it."""
    return {
        "uuid": CARD_ID,
        "summary": "10-year risk of stroke 5.7 %, beside a baseline of 2.8 %",
        "detail": DETAIL,
        "indicator": "warning",
        "source": {"label": "Chartloop stroke risk", "topic": {"system": "https://chartloop.example/fhir/CodeSystem/risk", "code": "stroke-10y", "display": "Stroke"}},
        "overrideReasons": [
            {"code": "already-addressed", "system": "https://chartloop.example/fhir/CodeSystem/override", "display": "Already addressed"},
            {"code": "wrong-data", "system": "https://chartloop.example/fhir/CodeSystem/override", "display": "Wrong data"},
        ],
        "links": [
            {"label": "Explain this estimate", "url": launch_url, "type": "smart", "appContext": json.dumps({"riskAssessment": risk})},
            {"label": "Model label", "url": f"{base}/cds-services/models/prevent-stroke-10y", "type": "absolute"},
        ],
    }


class CdsDouble:
    """What it was asked, and what it answers."""

    def __init__(self) -> None:
        self.base = ""
        self.launch_url = ""
        self.services: Any = {"services": [SERVICE]}
        self.calls: list[dict[str, Any]] = []
        self.feedback: list[dict[str, Any]] = []
        self.discoveries = 0
        self.wait_s = 0.0
        self.feedback_status = 200
        self.answer: Callable[[dict[str, Any]], Any] = self.stored_card

    def stored_card(self, call: dict[str, Any]) -> Any:
        """Answer from the estimate that was prefetched; none without one, and none from what the product's own models wrote."""
        ids = [entry["resource"]["id"] for entry in call["prefetch"].get("risk", {}).get("entry", [])]
        return {"cards": [card(self.launch_url, id_, self.base) for id_ in ids if id_ == risk_chart.RISK_ID]}

    def flask(self) -> Flask:
        """Give its routes."""
        app = Flask(__name__)

        @app.get("/cds-services")
        def discovery() -> Response:
            self.discoveries += 1
            return _said(self.services)

        @app.post("/cds-services/stroke-risk")
        def service() -> Response:
            call = json.loads(request.get_data())
            self.calls.append(call)
            time.sleep(self.wait_s)
            return _said(self.answer(call))

        @app.post("/cds-services/stroke-risk/feedback")
        def feedback() -> Response:
            self.feedback.append(json.loads(request.get_data()))
            return Response(status=self.feedback_status)

        return app


def _said(body: Any) -> Response:
    return body if isinstance(body, Response) else Response(json.dumps(body), content_type="application/json")


@contextmanager
def running(double: CdsDouble) -> Iterator[CdsDouble]:
    """Serve it on a port of its own."""
    server = make_server("127.0.0.1", 0, double.flask(), threaded=True)
    double.base = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield double
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
