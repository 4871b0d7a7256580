"""The append-only Merkle tree, kept as the hashes of its complete subtrees.

Spec: https://www.rfc-editor.org/rfc/rfc6962#section-2.1
"""

import hashlib
from collections.abc import Iterable

_SIZE = 32


class Frontier:
    """The roots of the complete subtrees of a growing tree, largest first."""

    def __init__(self, size: int = 0, roots: bytes = b"") -> None:
        """Go on from a stored frontier, or start an empty tree."""
        self.size = size
        self._roots = [roots[at : at + _SIZE] for at in range(0, len(roots), _SIZE)]
        if len(self._roots) != size.bit_count():
            raise ValueError("The frontier does not fit its size.")

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Append leaf hashes."""
        sha256, roots, size = hashlib.sha256, self._roots, self.size
        for leaf in leaves:
            node, carry = leaf, size
            while carry & 1:
                node = sha256(b"\x01" + roots.pop() + node).digest()
                carry >>= 1
            roots.append(node)
            size += 1
        self.size = size

    def root(self) -> bytes:
        """Return the tree's hash."""
        if not self._roots:
            return hashlib.sha256(b"").digest()
        node = self._roots[-1]
        for left in reversed(self._roots[:-1]):
            node = hashlib.sha256(b"\x01" + left + node).digest()
        return node

    def to_bytes(self) -> bytes:
        """Write the frontier so that it can be gone on from."""
        return b"".join(self._roots)
