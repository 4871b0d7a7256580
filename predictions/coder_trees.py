"""Score a gradient-boosted tree ensemble with numpy, so that the product needs neither LightGBM nor libgomp to suggest codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Trees:
    """All nodes of all trees in one table; a leaf points at itself with threshold +inf."""

    feature: NDArray[np.int16]
    threshold: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: NDArray[np.float64]
    roots: NDArray[np.int32]
    depth: int

    def raw(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the raw score (log-odds) of each row; equal to LightGBM's raw_score within 1e-9."""
        if not len(rows):
            return np.zeros(0)
        width = rows.shape[1]
        flat = np.ascontiguousarray(rows).ravel()
        base = (np.arange(len(rows), dtype=np.int64) * width)[None, :]
        node = np.repeat(self.roots[:, None], len(rows), axis=1)
        for _ in range(self.depth):
            goes_left = flat[base + self.feature[node]] <= self.threshold[node]
            node = np.where(goes_left, self.left[node], self.right[node])
        return np.asarray(self.value[node].sum(axis=0))


def dump_to_trees(dump: Mapping[str, Any]) -> Trees:
    """Convert LightGBM's `dump_model()` of numeric features without missing values."""
    nodes: list[tuple[int, float, int, int, float]] = []
    depth = 0

    def add(node: Mapping[str, Any], level: int) -> int:
        nonlocal depth
        depth = max(depth, level)
        at = len(nodes)
        nodes.append((0, np.inf, at, at, 0.0))
        if "leaf_value" in node:
            nodes[at] = (0, np.inf, at, at, float(node["leaf_value"]))
        else:
            left, right = add(node["left_child"], level + 1), add(node["right_child"], level + 1)
            nodes[at] = (int(node["split_feature"]), float(node["threshold"]), left, right, 0.0)
        return at

    roots = [add(tree["tree_structure"], 0) for tree in dump["tree_info"]]
    columns = list(zip(*nodes, strict=True))
    return Trees(
        np.array(columns[0], dtype=np.int16),
        np.array(columns[1]),
        np.array(columns[2], dtype=np.int32),
        np.array(columns[3], dtype=np.int32),
        np.array(columns[4]),
        np.array(roots, dtype=np.int32),
        depth,
    )
