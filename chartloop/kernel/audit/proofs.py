"""Proofs over the tree: that a record is in it, and that a later tree begins with an earlier one.

Spec: https://www.rfc-editor.org/rfc/rfc6962#section-2.1 (making), https://www.rfc-editor.org/rfc/rfc9162#section-2.1 (checking)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

Subtree = Callable[[int, int], bytes]
"""Hash of the tree over the leaves from a place up to another, which is left out; places count from 0."""


def _split(size: int) -> int:
    return 1 << ((size - 1).bit_length() - 1)


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def inclusion(subtree: Subtree, place: int, size: int) -> list[bytes]:
    """Make the audit path of the leaf at a place (from 0) in a tree of a size."""
    path, start, end = [], 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if place < middle:
            path.append(subtree(middle, end))
            end = middle
        else:
            path.append(subtree(start, middle))
            start = middle
    return path[::-1]


def consistency(subtree: Subtree, first: int, second: int) -> list[bytes]:
    """Make the proof that a tree of a size begins with one of a smaller size."""
    path, start, end, whole = [], 0, second, True
    while first < end:
        middle = start + _split(end - start)
        if first <= middle:
            path.append(subtree(middle, end))
            end = middle
        else:
            path.append(subtree(start, middle))
            start, whole = middle, False
    return ([] if whole else [subtree(start, end)]) + path[::-1]


def includes(leaf: bytes, place: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Check an audit path."""
    if not 0 <= place < size:
        return False
    at, last, node = place, size - 1, leaf
    for step in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            node = _node(step, node)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = _node(node, step)
        at, last = at >> 1, last >> 1
    return last == 0 and node == root


def continues(first: int, first_root: bytes, second: int, second_root: bytes, path: Sequence[bytes]) -> bool:
    """Check a proof of consistency."""
    if first == second:
        return not path and first_root == second_root
    if not 0 < first < second:
        return False
    steps = [first_root, *path] if first & (first - 1) == 0 else list(path)
    at, last = first - 1, second - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    if not steps:
        return False
    before = after = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            before, after = _node(step, before), _node(step, after)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            after = _node(after, step)
        at, last = at >> 1, last >> 1
    return last == 0 and before == first_root and after == second_root
