"""Shapley values by their definition: every subset of features, the tree's path-dependent expectation where a feature is not in it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any


def brute_force(dump: dict[str, Any], row: Sequence[float]) -> list[float]:
    """Contribution of each feature and, last, of nobody: the sum over trees of a dumped booster."""
    n = len(row)
    found = [0.0] * (n + 1)
    for tree in dump["tree_info"]:
        root = tree["tree_structure"]
        worth = {subset: _expected(root, row, frozenset(subset)) for subset in _subsets(range(n))}
        for feature in range(n):
            for subset in _subsets([f for f in range(n) if f != feature]):
                weight = math.factorial(len(subset)) * math.factorial(n - len(subset) - 1) / math.factorial(n)
                found[feature] += weight * (worth[tuple(sorted((*subset, feature)))] - worth[subset])
        found[n] += worth[()]
    return found


def _subsets(items: Sequence[int]) -> Iterator[tuple[int, ...]]:
    for size in range(len(items) + 1):
        yield from combinations(items, size)


def _expected(node: dict[str, Any], row: Sequence[float], known: frozenset[int]) -> float:
    """Follow what is known; average over both ways, by how many people went each, where it is not."""
    if "split_feature" not in node:
        return float(node["leaf_value"])
    left, right = node["left_child"], node["right_child"]
    if node["split_feature"] in known:
        return _expected(left if _goes_left(node, row[node["split_feature"]]) else right, row, known)
    a, b = _count(left), _count(right)
    return (a * _expected(left, row, known) + b * _expected(right, row, known)) / (a + b)


def _count(node: dict[str, Any]) -> int:
    return int(node["internal_count"] if "split_feature" in node else node["leaf_count"])


def _goes_left(node: dict[str, Any], value: float) -> bool:
    if math.isnan(value):
        if node["missing_type"] == "NaN":
            return bool(node["default_left"])
        value = 0.0
    return value <= node["threshold"]
