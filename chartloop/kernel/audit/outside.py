"""Checking an exported audit log with nothing but the file and tree heads kept elsewhere: the standard library is enough.

`python EXPORT TRUSTED_HEADS.jsonl`. Signatures are checked where the package `cryptography` is installed; a trusted head that fits needs none.
Spec: https://www.rfc-editor.org/rfc/rfc6962#section-2.1
"""

import hashlib
import json
import sys
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, Any

try:
    from chartloop.kernel.audit.merkle import Frontier
except ImportError:  # inside an export
    from merkle import Frontier  # type: ignore[import-not-found,no-redef]

HASH_ALONE = 255
"""Codec of a record of which only the hash is left."""
_HEADER = 9
_NO_HEAD = "00" * 32


def check_export(file: str, trusted: list[dict[str, Any]]) -> list[str]:
    """Check every record and head of an export; return what is wrong, nothing where all of it holds.

    Args:
        file: The export.
        trusted: Heads that were kept elsewhere, as read from their lines.
    """
    problems: list[str] = []
    with zipfile.ZipFile(file) as packed:
        heads = [json.loads(line) for line in packed.read("heads.jsonl").decode().splitlines() if line]
        problems += _chain(heads, packed.read("public.key").decode().strip())
        with packed.open("records.bin") as records:
            problems += _tree(heads, records)
    return problems + _trust(heads, trusted)


def _chain(heads: list[dict[str, Any]], key: str) -> list[str]:
    problems, previous, sizes = [], _NO_HEAD, 0
    for head in heads:
        if head["previous"] != previous or head["size"] <= sizes:
            problems.append(f"Tree head {head['size']} does not continue the head before it.")
        if _signed(head, key) is False:
            problems.append(f"The signature of tree head {head['size']} is wrong.")
        previous, sizes = hashlib.sha256(_statement(head) + bytes.fromhex(head["signature"])).hexdigest(), head["size"]
    return problems


def _tree(heads: list[dict[str, Any]], records: IO[bytes]) -> list[str]:
    tree, waiting, problems = Frontier(), list(heads[::-1]), []
    for leaf in _leaves(records):
        tree.extend((leaf,))
        if waiting and tree.size == waiting[-1]["size"] and tree.root().hex() != waiting.pop()["root"]:
            problems.append(f"The records under tree head {tree.size} are not those that were signed.")
    if waiting or (heads and tree.size != heads[-1]["size"]):
        problems.append(f"The file holds {tree.size} records, its last tree head says {heads[-1]['size']}.")
    return problems


def _leaves(records: IO[bytes]) -> Iterator[bytes]:
    while header := records.read(_HEADER):
        length, crc, codec = int.from_bytes(header[:4], "little"), int.from_bytes(header[4:8], "little"), header[8]
        body = records.read(length)
        if len(body) < length or zlib.crc32(body, zlib.crc32(bytes((codec,)))) != crc:
            return
        yield body if codec == HASH_ALONE else hashlib.sha256(b"\x00" + body).digest()


def _trust(heads: list[dict[str, Any]], trusted: list[dict[str, Any]]) -> list[str]:
    """Compare with what was kept elsewhere: without one trusted head that fits, whoever holds the key could have made it all anew."""
    inside = {head["size"]: head for head in heads}
    known = [head for head in trusted if head["size"] in inside]
    wrong = [f"Tree head {head['size']} is another one than the trusted one of this size." for head in known if head != inside[head["size"]]]
    return wrong or ([] if known else ["None of the trusted heads is in the file: nothing is proved."])


def _statement(head: dict[str, Any]) -> bytes:
    said = {name: head[name] for name in ("log", "previous", "recorded", "root", "size")}
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


def _signed(head: dict[str, Any], key: str) -> "bool | None":
    """Whether a head is signed by the key; None where that cannot be checked here."""
    try:
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 optional for whoever runs this outside
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415
    except ImportError:
        return None
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(bytes.fromhex(head["signature"]), _statement(head))
    except (InvalidSignature, ValueError):
        return False
    return True


def read_lines(text: str) -> list[dict[str, Any]]:
    """Read heads; a torn last line was never relied on."""
    found = []
    for line in text.splitlines():
        try:
            head = json.loads(line)
        except ValueError:
            continue
        if isinstance(head, dict) and {"size", "root", "signature", "previous", "recorded"} <= set(head):
            found.append(head)
    return found


def main(arguments: list[str]) -> int:
    """Check the file that this program is in against a file of trusted heads."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python EXPORT TRUSTED_HEADS.jsonl\n")
        return 2
    with open(arguments[1], encoding="utf-8") as opened:  # noqa: PTH123 it runs from inside a zip
        problems = check_export(arguments[0], read_lines(opened.read()))
    sys.stdout.write("\n".join(problems or ["the exported audit log holds"]) + "\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
