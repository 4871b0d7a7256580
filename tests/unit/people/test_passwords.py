"""Which passwords are refused, and how they are kept."""

import pytest

from smart_apps.people.passwords import check_strength, hashed, matches


@pytest.mark.conformance("People", "passwords: at least 12 characters, known and self-made ones refused, no rule of composition (NIST SP 800-63B)")
@pytest.mark.parametrize(
    "password",
    ["short", "elevenchars", "aaaaaaaaaaaaaaaa", "abababababab", "123456789012", "abcdefghijklmno", "zyxwvutsrqponml", "passwordpassword", "P@ssw0rdP@ssw0rd", "Password-2026!",
     "1234 password", "changeme2026", "correct horse battery staple", "Hospital2026!!", "chartloop-2026", "ada.lovelace1", "Lovelace Ada 1", "x" * 201],
)  # fmt: skip
def test_a_password_that_others_try_is_refused(password: str) -> None:
    assert check_strength(password, "ada.lovelace", "Ada Lovelace")


@pytest.mark.parametrize("password", ["seven quiet herons", "ada and her green umbrella", "rain on the tin roof", "ćma leci nocą", "雨の日は本を読みます。ゆっくり", "x7#kQ2!vLm9z", "all lower case words"])
def test_a_long_one_is_good_whatever_it_is_made_of(password: str) -> None:
    assert check_strength(password, "ada", "Ada Lovelace") == ""


@pytest.mark.conformance("People", "passwords are kept as argon2id")
def test_a_hash_is_argon2id_and_matches_its_password_alone() -> None:
    hash_ = hashed("seven quiet herons")
    assert hash_.startswith("$argon2id$v=19$m=47104,t=1,p=1$")
    assert hash_ != hashed("seven quiet herons")
    assert matches(hash_, "seven quiet herons")
    assert not matches(hash_, "seven quiet heron")
    assert not matches("", "seven quiet herons")
    assert not matches("", "nobody has this password")
    assert not matches("$argon2id$broken", "seven quiet herons")


def test_one_password_typed_on_two_keyboards_is_one_password() -> None:
    assert matches(hashed("cafe\u0301 au lait, deux"), "caf\u00e9 au lait, deux")
    assert not matches(hashed("x" * 200), "x" * 100_000)
