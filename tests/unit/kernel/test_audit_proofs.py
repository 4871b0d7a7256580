"""Proofs of inclusion and consistency hold for the tree they are of, and for no other."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartloop.kernel.audit.merkle import Frontier
from chartloop.kernel.audit.proofs import consistency, continues, includes, inclusion
from chartloop.kernel.audit.record import leaf_of

# leaves of the certificate-transparency reference tests, and its published proofs
LEAVES = [leaf_of(bytes.fromhex(each)) for each in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")]


def root(leaves: list[bytes]) -> bytes:
    tree = Frontier()
    tree.extend(leaves)
    return tree.root()


@pytest.mark.conformance("Audit", "proofs of inclusion and consistency are those of certificate transparency's reference tests")
def test_the_published_proofs_of_certificate_transparency_are_made() -> None:
    def subtree(start: int, end: int) -> bytes:
        return root(LEAVES[start:end])

    assert [step.hex() for step in inclusion(subtree, 0, 8)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    assert [step.hex() for step in consistency(subtree, 6, 8)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    assert consistency(subtree, 1, 1) == []


@given(st.integers(1, 90), st.data())
def test_a_record_is_proved_under_its_own_head_alone(size: int, data: st.DataObject) -> None:
    leaves = [hashlib.sha256(bytes([at])).digest() for at in range(size)]
    place = data.draw(st.integers(0, size - 1))
    path, top = inclusion(lambda start, end: root(leaves[start:end]), place, size), root(leaves)
    assert includes(leaves[place], place, size, path, top)
    assert not includes(leaf_of(b"other"), place, size, path, top)
    assert not includes(leaves[place], place, size, [*path, top], top)
    assert not includes(leaves[place], size, size, path, top)
    if size > 1:
        assert not includes(leaves[place], (place + 1) % size, size, path, top)
        assert not includes(leaves[place], place, size, path[:-1], top)


@given(st.integers(1, 90), st.data())
def test_a_log_continues_what_it_was_and_nothing_else(second: int, data: st.DataObject) -> None:
    leaves = [hashlib.sha256(bytes([at])).digest() for at in range(second)]
    first = data.draw(st.integers(1, second))
    path = consistency(lambda start, end: root(leaves[start:end]), first, second)
    before, after = root(leaves[:first]), root(leaves)
    assert continues(first, before, second, after, path)
    assert not continues(first, leaf_of(b"x"), second, after, path)
    assert not continues(first, before, second, leaf_of(b"x"), path)
    assert not continues(second + 1, before, second, after, path)
    if path:
        assert not continues(first, before, second, after, path[:-1])
        assert not continues(first, before, second, after, [*path[:-1], leaf_of(b"x")])
