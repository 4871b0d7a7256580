"""What a researcher finds: the OMOP database follows the chart; the chart itself stays closed."""

from __future__ import annotations

from typing import Any

import httpx

from chartloop.demo.parts import Demo
from chartloop.demo.steps import Counts, require

FILLED = ("person", "visit_occurrence", "condition_occurrence", "drug_exposure", "measurement", "observation_period")


def tables(demo: Demo) -> dict[str, int]:
    """Rows of each table, as the researcher's page says."""
    return {table["table"]: table["rows"] for table in _page(demo, "researcher", "/omop").json()["tables"]}


def rows_of(demo: Demo, reference: str) -> list[dict[str, Any]]:
    """The rows that came from one resource, for those who may know."""
    answer = _page(demo, "privacy-officer", "/omop/lineage", resource=reference)
    return [{"table": row["table"], "id": row["id"]} for row in answer.json()["rows"]] if answer.status_code == 200 else []


def check_researcher(demo: Demo, reference: str, counts: Counts) -> None:
    """Hold the page to what it promises.

    Raises:
        StepFailed: A table is empty, the way back to the chart is open to a researcher, or the chart is.
    """
    found = tables(demo)
    empty = [name for name in FILLED if not found.get(name)]
    require(not empty, f"OMOP tables are empty: {', '.join(empty)}")
    require(_page(demo, "researcher", "/omop/lineage", resource=reference).status_code == 403, "a researcher may follow a row back to the chart")
    require(_page(demo, "clinician", "/omop").status_code == 403, "the researchers' page opened for somebody else")
    researcher = demo.as_role("researcher")
    require(researcher.request("GET", reference).status_code == 403, "a researcher reads the live chart")
    counts.update({name: found[name] for name in FILLED})
    counts["rows"] = sum(found.values())


def _page(demo: Demo, role: str, path: str, **query: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {demo.as_role(role).token}", "Accept": "application/json"}
    return httpx.get(f"{demo.server}{path}", params=query, headers=headers, timeout=30, trust_env=False)
