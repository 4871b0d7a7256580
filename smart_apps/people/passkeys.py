"""Passkeys and security keys as second factors.

Spec: https://www.w3.org/TR/webauthn-2/
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import webauthn
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from chartloop.kernel import clock
from chartloop.kernel.errors import Conflict, Invalid

if TYPE_CHECKING:
    from chartloop.kernel.db import Session, Tx
    from smart_apps.people.person import Person

MAX_ANSWER = 64_000
MAX_NAME = 60
MOST = 10


@dataclass(frozen=True, slots=True)
class Passkey:
    """One passkey of a person."""

    id: bytes
    name: str
    public_key: bytes
    sign_count: int
    created: int
    used: int


@dataclass(frozen=True, slots=True)
class Site:
    """Where passkeys are good: the host name and the origin of this server."""

    host: str
    origin: str

    @property
    def usable(self) -> bool:
        """Whether browsers know passkeys here: at a host name, and over TLS or on localhost."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return self.origin.startswith("https://") or self.host == "localhost"
        return False


def site(root: str) -> Site:
    """Give the site of a base URL."""
    parts = urlsplit(root)
    return Site(parts.hostname or "", f"{parts.scheme}://{parts.netloc}")


def asked_to_make(here: Site, person: Person, challenge: bytes, held: list[Passkey]) -> str:
    """Write what a browser is asked when a passkey is made, as JSON."""
    options = webauthn.generate_registration_options(
        rp_id=here.host,
        rp_name="Chartloop",
        user_name=person.login,
        user_id=person.id.encode(),
        user_display_name=person.display,
        challenge=challenge,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.DISCOURAGED, user_verification=UserVerificationRequirement.PREFERRED
        ),
        exclude_credentials=_descriptors(held),
    )
    return webauthn.options_to_json(options)


def asked_to_show(here: Site, challenge: bytes, held: list[Passkey]) -> str:
    """Write what a browser is asked when a passkey is shown, as JSON."""
    preferred = UserVerificationRequirement.PREFERRED
    options = webauthn.generate_authentication_options(
        rp_id=here.host, challenge=challenge, allow_credentials=_descriptors(held), user_verification=preferred
    )
    return webauthn.options_to_json(options)


def made(here: Site, challenge: bytes, answer: str) -> Passkey:
    """Verify the browser's answer, and give the new passkey.

    Raises:
        Invalid: It is not an answer to this challenge at this site.
    """
    try:
        found = webauthn.verify_registration_response(
            credential=_answer(answer), expected_challenge=challenge, expected_rp_id=here.host, expected_origin=here.origin
        )
    except Exception as error:  # whatever a parser makes of hostile bytes, it is not a passkey
        raise Invalid("The passkey was not made. Try again.") from error
    return Passkey(found.credential_id, "", found.credential_public_key, found.sign_count, clock.now_us(), 0)


def add(tx: Tx, person: str, passkey: Passkey, name: str) -> None:
    """Keep a passkey.

    Raises:
        Conflict: It is known already, or there are too many.
    """
    if tx.one("select 1 from person_passkey where id = ?", (passkey.id,)) is not None or len(of(tx, person)) >= MOST:
        raise Conflict("This passkey is known already, or you have too many.")
    said = "".join(character for character in name if character.isprintable()).strip()[:MAX_NAME] or "Passkey"
    tx.run(
        "insert into person_passkey (id, person, name, public_key, sign_count, created, used) values (?, ?, ?, ?, ?, ?, 0)",
        (passkey.id, person, said, passkey.public_key, passkey.sign_count, passkey.created),
    )


def shown(tx: Tx, here: Site, person: str, challenge: bytes, answer: str) -> bool:
    """Accept a passkey of this person that answers this challenge; its counter must have moved on, where it has one."""
    held = {each.id: each for each in of(tx, person)}
    try:
        credential = _answer(answer)
        known = held[webauthn.base64url_to_bytes(str(credential["id"]))]
        found = webauthn.verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=here.host,
            expected_origin=here.origin,
            credential_public_key=known.public_key,
            credential_current_sign_count=known.sign_count,
        )
    except Exception:  # whatever a parser makes of hostile bytes, it is not this passkey
        return False
    row = (found.new_sign_count, clock.now_us(), known.id, known.sign_count)
    return tx.run("update person_passkey set sign_count = ?, used = ? where id = ? and sign_count = ?", row) == 1


def of(db: Session, person: str) -> list[Passkey]:
    """List somebody's passkeys, the oldest first."""
    rows = db.all("select id, name, public_key, sign_count, created, used from person_passkey where person = ? order by created", (person,))
    return [Passkey(bytes(row[0]), row[1], bytes(row[2]), *row[3:]) for row in rows]


def _descriptors(held: list[Passkey]) -> list[PublicKeyCredentialDescriptor]:
    return [PublicKeyCredentialDescriptor(id=each.id) for each in held]


def _answer(text: str) -> dict[str, object]:
    if len(text) > MAX_ANSWER:
        raise ValueError
    found = json.loads(text)
    if not isinstance(found, dict):
        raise TypeError
    return found
