"""Card ids that the service can recognise again without having kept them.

A card id is a UUID of version 8: half of it is a keyed hash of what the card shows, the other half signs that hash together with the
model. So the same card of the same version of a prediction always has the same id, feedback can be joined to the prediction by hashing
it again, and nobody can make up the id of a card that was never issued.
Spec: https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-8
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import Iterable
from typing import Final

_HALF: Final = 8
_VARIANT: Final = 0x80


def card_id(key: bytes, model: str, prediction: str, version: str, kind: str) -> str:
    """Make the id of a card.

    Args:
        key: Secret of this server.
        model: Id of the risk model.
        prediction: Id of the RiskAssessment.
        version: Its version.
        kind: Which card it is: risk, stale or incomplete.
    """
    first = bytearray(_hash(key, "card", model, prediction, version, kind))
    first[6] = 0x80 | (first[6] & 0x0F)
    return str(uuid.UUID(bytes=bytes(first) + _signature(key, model, bytes(first))))


def model_of(key: bytes, text: str, models: Iterable[str]) -> str | None:
    """Return the model of a card that was issued, or None for an id that never was."""
    try:
        given = uuid.UUID(text)
    except ValueError:
        return None
    if str(given) != text.lower():  # one way of writing it, so that feedback counts once
        return None
    first, second = given.bytes[:_HALF], given.bytes[_HALF:]
    return next((model for model in models if hmac.compare_digest(_signature(key, model, first), second)), None)


def _signature(key: bytes, model: str, first: bytes) -> bytes:
    signed = bytearray(_hash(key, "issued", model, first.hex()))
    signed[0] = _VARIANT | (signed[0] & 0x3F)
    return bytes(signed)


def _hash(key: bytes, *parts: str) -> bytes:
    return hmac.digest(key, "\n".join(f"{len(part)}:{part}" for part in parts).encode(), hashlib.sha256)[:_HALF]
