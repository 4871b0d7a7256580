"""The dashboard and the alert rules name metrics that exist, with labels that they have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from chartloop.kernel.metrics import METRICS

ROOT = Path(__file__).resolve().parents[3]
METRIC = re.compile(r"\bchartloop_[a-z0-9_]+\b")
SELECTOR = re.compile(r"\b(chartloop_[a-z0-9_]+)\{([^}]*)\}")
BY = re.compile(r"by \(([^)]*)\) \(+(?:rate\(|increase\()?(chartloop_[a-z0-9_]+)")
ADDED = {"instance", "le"}
"""Labels that Prometheus adds. It adds `job` too, and renames one of ours that is called so: none may be."""


def dashboard() -> dict[str, Any]:
    return dict(json.loads((ROOT / "deploy/grafana/chartloop.json").read_text("utf-8")))


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text("utf-8"))["groups"] for rule in group["rules"]]


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in dashboard()["panels"] for target in panel["targets"])


def declared(name: str) -> str:
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    return base if METRICS.get(base, ("",))[0] == "histogram" else name


@pytest.mark.conformance("Operations", "every metric of the dashboard and of the alert rules exists, with the labels that are asked for")
def test_every_metric_that_is_watched_exists() -> None:
    watched = {declared(name) for expression in expressions() for name in METRIC.findall(expression)}
    assert watched - METRICS.keys() == set()
    assert METRICS.keys() - watched == set(), "every metric is watched somewhere"
    assert [name for name, (_, _, labels) in METRICS.items() if {"job", *ADDED} & set(labels)] == []
    for expression in expressions():
        for name, matchers in SELECTOR.findall(expression):
            assert set(re.findall(r"(\w+)[=!]", matchers)) <= {*METRICS[declared(name)][2]}, expression
        for labels, name in BY.findall(expression):
            assert {label.strip() for label in labels.split(",")} <= {*METRICS[declared(name)][2], *ADDED}, expression
        assert expression.count("(") == expression.count(")")


def test_the_alerts_say_what_to_do_and_cover_what_hurts_at_night() -> None:
    found = {rule["alert"]: rule for rule in rules()}
    assert len(found) == len(rules())
    for rule in found.values():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"].endswith(".")
        for page in re.findall(r"docs/[a-z/-]+\.md", rule["annotations"]["action"]):
            assert (ROOT / page).is_file(), page
    needed = ("oldest_age", "dead_letters", "payer_breaker", "job_failures", "held_back_age", "seal_lag", "disk_free")
    assert [part for part in needed if not any(part in rule["expr"] for rule in found.values())] == []


def test_the_dashboard_fills_its_rows_and_no_panel_lies_over_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in dashboard()["panels"]}) == len(dashboard()["panels"])
