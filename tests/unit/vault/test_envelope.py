"""Sealed bytes, sealed columns and sealed files: what went in comes out, at its own place alone."""

import io

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from chartloop.kernel.errors import Unavailable
from chartloop.kernel.vault import envelope
from chartloop.kernel.vault.columns import MARK, Columns, is_sealed, key_number
from chartloop.kernel.vault.envelope import OVERHEAD, Altered
from chartloop.kernel.vault.files import MAGIC, SealingWriter, UnsealingReader

CIPHER = AESGCM(bytes(32))


class OneKey:
    """A vault of one key, without a database."""

    def __init__(self, *, sealing: bool = True) -> None:
        self.sealing = sealing

    def seal(self, clear, place):
        return envelope.seal(CIPHER, 7, clear, place)

    def open(self, sealed, place):
        return envelope.unseal(CIPHER, sealed, place)


def columns(*, sealing: bool = True) -> Columns:
    made = Columns()
    made.use(OneKey(sealing=sealing))
    return made


@given(st.binary(max_size=300), st.text(max_size=40))
def test_what_is_sealed_for_a_place_is_opened_there(clear, place):
    sealed = envelope.seal(CIPHER, 7, clear, place)
    assert len(sealed) == len(clear) + OVERHEAD
    assert envelope.number_of(sealed) == 7
    assert envelope.unseal(CIPHER, sealed, place) == clear


@given(st.binary(max_size=60), st.data())
def test_one_bit_that_changed_is_noticed(clear, data):
    sealed = bytearray(envelope.seal(CIPHER, 7, clear, "here"))
    at = data.draw(st.integers(8, len(sealed) - 1))
    sealed[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Altered):
        envelope.unseal(CIPHER, bytes(sealed), "here")


def test_sealed_bytes_do_not_open_at_another_place():
    with pytest.raises(Altered):
        envelope.unseal(CIPHER, envelope.seal(CIPHER, 7, b"said", "Observation/1/_history/1"), "Observation/1/_history/2")


def test_no_two_sealings_are_alike():
    assert len({envelope.seal(CIPHER, 7, b"said", "here") for _ in range(1000)}) == 1000


@given(st.one_of(st.binary(max_size=60), st.binary(max_size=20).map(lambda rest: MARK + rest)), st.booleans())
def test_a_column_gives_back_what_it_was_given(clear, sealing):
    made = columns(sealing=sealing)
    stored = made.keep(clear, "table.column", 1)
    assert is_sealed(stored) is sealing
    assert made.kept(stored, "table.column", 1) == clear
    if sealing:
        assert key_number(stored) == 7
        with pytest.raises(Altered):
            made.kept(stored, "table.column", 2)


@given(st.one_of(st.text(max_size=40), st.text(max_size=20).map(lambda rest: f"vault:{rest}")), st.booleans())
def test_a_column_of_text_gives_back_what_it_was_given(clear, sealing):
    made = columns(sealing=sealing)
    stored = made.keep_text(clear, "table.column", "key")
    assert is_sealed(stored) is (sealing and bool(clear))
    assert made.kept_text(stored, "table.column", "key") == clear


def test_values_from_before_the_vault_stay_readable_and_sealed_ones_need_it():
    before = Columns()
    assert columns().kept(before.keep(b"MSH|", "t"), "t") == b"MSH|"
    assert columns(sealing=False).kept(columns().keep(b"MSH|", "t"), "t") == b"MSH|"
    with pytest.raises(Unavailable):
        before.kept(columns().keep(b"MSH|", "t"), "t")


def sealed_file(clear: bytes) -> bytes:
    file = io.BytesIO()
    with SealingWriter(file, columns(), "file") as writer:
        for at in range(0, len(clear), 700_001):
            writer.write(clear[at : at + 700_001])
    return file.getvalue()


def opened_file(stored: bytes) -> bytes:
    file = io.BytesIO(stored)
    assert file.read(len(MAGIC)) == MAGIC
    return UnsealingReader(file, columns(), "file").readall()


@pytest.mark.parametrize("size", [0, 1, 1_048_575, 1_048_576, 1_048_577, 3_000_000])
def test_a_sealed_file_holds_what_was_written(size):
    clear = bytes(range(256)) * (size // 256) + bytes(size % 256)
    stored = sealed_file(clear)
    assert clear[:64] not in stored or size < 64
    assert opened_file(stored) == clear


def test_a_sealed_file_that_was_cut_or_altered_is_refused():
    stored = sealed_file(b"x" * 2_500_000)
    one_piece = 1_048_576 + 16
    for wrong in (stored[:-1], stored[: -len(stored) % one_piece or -one_piece], stored[: len(stored) - 402_864], stored[:500_000] + b"?" + stored[500_001:]):
        with pytest.raises(Altered):
            opened_file(wrong)
