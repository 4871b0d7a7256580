"""Whatever is typed into an address or a form: nobody is sent elsewhere, and what is sealed opens for its purpose alone."""

from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartloop.kernel.errors import Invalid, Unavailable
from smart_apps.people.desk import local_path
from smart_apps.people.sealing import Seal

HERE = "https://ehr.example"
TRICKS = st.text(alphabet=st.sampled_from("/\\:@?#.%&=;\t\r\n \x00\u2028\u3000\uff0fhtpsjavcrievl12"), max_size=30)


def browsers_view(path: str) -> str:
    """Resolve a Location as browsers do (WHATWG URL): tabs and line ends vanish, backslashes are slashes."""
    cleaned = path.strip("".join(map(chr, range(33)))).translate({ord(c): None for c in "\t\r\n"}).replace("\\", "/")
    return urlsplit(urljoin(f"{HERE}/login", cleaned)).netloc


@pytest.mark.conformance("People", "no `next` leads a browser to another host")
@given(st.one_of(TRICKS, TRICKS.map(lambda text: f"/{text}"), st.text(max_size=40)))
def test_no_path_that_is_accepted_leads_to_another_host(text: str) -> None:
    try:
        path = local_path(text)
    except Invalid:
        return
    assert path.startswith("/")
    assert browsers_view(path) == "ehr.example"


@given(plain=st.binary(max_size=60), about=st.text(max_size=20), other=st.text(max_size=20), bit=st.integers(0, 10_000))
def test_what_is_sealed_opens_for_its_purpose_and_unchanged_alone(tmp_path_factory: pytest.TempPathFactory, plain: bytes, about: str, other: str, bit: int) -> None:
    seal = Seal(_folder(tmp_path_factory))
    sealed = seal.close(plain, about)
    assert seal.open(sealed, about) == plain
    flipped = bytearray(sealed)
    flipped[bit // 8 % len(sealed)] ^= 1 << bit % 8
    for wrong, purpose in ((bytes(flipped), about), (sealed[:-1], about), *([(sealed, other)] if other != about else [])):
        with pytest.raises(Unavailable):
            seal.open(wrong, purpose)
    assert seal.take_back(seal.hand_out(plain, about, 60), about) == plain
    with pytest.raises(Invalid):
        seal.take_back(seal.hand_out(plain, about, -1), about)


def _folder(factory: pytest.TempPathFactory) -> Path:
    folder = factory.getbasetemp() / "seal"
    folder.mkdir(exist_ok=True)
    return folder
