"""Proofs as files: made from the database, checked without it.

An inclusion proof holds one record as it is stored, its path and a signed head; a consistency proof holds two heads and the path between them.
Spec: https://www.rfc-editor.org/rfc/rfc6962#section-2.1
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from chartloop.kernel.audit.heads import TreeHead, head_of, is_signed
from chartloop.kernel.audit.merkle import Frontier
from chartloop.kernel.audit.proofs import consistency, continues, includes, inclusion
from chartloop.kernel.audit.reading import record_bytes
from chartloop.kernel.audit.record import leaf_of
from chartloop.kernel.audit.sealer import HEAD_COLUMNS
from chartloop.kernel.db_session import Session
from chartloop.kernel.errors import Invalid, NotFound

INCLUSION: Final = "inclusion"
CONSISTENCY: Final = "consistency"
_LEAVES: Final = "SELECT leaf FROM audit_leaf WHERE seq > ? AND seq <= ? ORDER BY seq"


def prove_record(session: Session, directory: Path, seq: int, size: int | None, key: str) -> dict[str, Any]:
    """Prove that a record is in the log, by its stored bytes: a sealed one is proved without being told.

    Args:
        session: Reads the log.
        directory: Where the journal's segments are.
        seq: Number of the record.
        size: Size of the head to prove under; None is the newest.
        key: Public key of the log, hex.

    Raises:
        NotFound: There is no such record or head, or the record was pruned.
    """
    head = _head(session, size)
    stored = record_bytes(session, directory, session.all("SELECT seq, source, position FROM audit_leaf WHERE seq = ?", (seq,))).get(seq)
    if stored is None or not 0 < seq <= head.size:
        raise NotFound("There is no such record under this tree head, or its bytes are gone.")
    path = inclusion(_subtree(session), seq - 1, head.size)
    body = base64.b64encode(stored[1]).decode()
    return {"kind": INCLUSION, "seq": seq, "body": body, "path": [step.hex() for step in path], "head": head.json(), "public_key": key}


def prove_growth(session: Session, first: int, second: int | None, key: str) -> dict[str, Any]:
    """Prove that the log under one head begins with the log under an earlier one.

    Raises:
        NotFound: There is no head of such a size.
    """
    earlier, later = _head(session, first), _head(session, second)
    path = consistency(_subtree(session), earlier.size, later.size)
    return {"kind": CONSISTENCY, "first": earlier.json(), "second": later.json(), "path": [step.hex() for step in path], "public_key": key}


def check_proof(text: str, trusted: Sequence[TreeHead], key: Ed25519PublicKey | None) -> str:
    """Check a proof without the database; return one sentence of what it proves.

    Args:
        text: The file.
        trusted: Heads that were kept elsewhere.
        key: Public key of the log that is trusted; needed where no head of the proof is a trusted one.

    Raises:
        Invalid: It cannot be read, proves nothing, or stands on no head that is trusted.
    """
    try:
        proof = json.loads(text)
        path = [bytes.fromhex(step) for step in proof["path"]]
        if proof["kind"] == INCLUSION:
            return _check_inclusion(proof, path, trusted, key)
        if proof["kind"] == CONSISTENCY:
            return _check_consistency(proof, path, trusted, key)
    except (ValueError, KeyError, TypeError):
        pass
    raise Invalid("This is no proof that can be read.")


def _check_inclusion(proof: dict[str, Any], path: list[bytes], trusted: Sequence[TreeHead], key: Ed25519PublicKey | None) -> str:
    head = _trusted(_read_head(proof["head"]), trusted, key)
    seq, leaf = int(proof["seq"]), leaf_of(base64.b64decode(proof["body"], validate=True))
    if not includes(leaf, seq - 1, head.size, path, head.root):
        raise Invalid(f"The proof does not hold: record {seq} is not the one that stands under this tree head.")
    return f"Record {seq} is in the log under the tree head of size {head.size}, as it is in this file."


def _check_consistency(proof: dict[str, Any], path: list[bytes], trusted: Sequence[TreeHead], key: Ed25519PublicKey | None) -> str:
    first, second = (_read_head(proof[name]) for name in ("first", "second"))
    for head in (first, second):
        if key is not None and not is_signed(key, head):
            raise Invalid(f"The signature of the tree head of size {head.size} is wrong.")
    if key is None and (first not in trusted or second not in trusted):
        raise Invalid("Neither a trusted key was given, nor are both tree heads among the trusted ones.")
    if not continues(first.size, first.root, second.size, second.root, path):
        raise Invalid(f"The proof does not hold: the log of size {second.size} does not begin with the one of size {first.size}.")
    return f"The log of size {second.size} begins with the one of size {first.size}: nothing in it was changed, removed or put in between."


def _trusted(head: TreeHead, trusted: Sequence[TreeHead], key: Ed25519PublicKey | None) -> TreeHead:
    if head in trusted or (key is not None and is_signed(key, head)):
        return head
    raise Invalid(f"The tree head of size {head.size} is not among the trusted ones and not signed by a trusted key.")


def _read_head(said: Any) -> TreeHead:
    head = head_of(json.dumps(said))
    if head is None:
        raise Invalid("A tree head cannot be read.")
    return head


def _head(session: Session, size: int | None) -> TreeHead:
    where, params = ("", ()) if size is None else (" WHERE size = ?", (size,))
    row = session.one(f"SELECT {HEAD_COLUMNS} FROM audit_head{where} ORDER BY size DESC LIMIT 1", params)
    if row is None:
        raise NotFound("There is no tree head of this size; `chartloop audit show --heads` lists the newest.")
    return TreeHead(*row)


def _subtree(session: Session) -> Any:
    """Hash parts of the tree as they are read: a proof looks at every leaf once and keeps none."""

    def subtree(start: int, end: int) -> bytes:
        tree = Frontier()
        tree.extend(bytes(leaf) for (leaf,) in session.each(_LEAVES, (start, end)))
        return tree.root()

    return subtree
