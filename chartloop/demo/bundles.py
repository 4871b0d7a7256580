"""Load a folder of FHIR Bundles: hospitals and practitioners first, each file once however often the demo runs."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chartloop.demo.fhir_client import FhirClient, FhirFailed, Resource
from chartloop.demo.processes import write_json
from chartloop.demo.steps import Counts

OPENERS: dict[str, Callable[[bytes], bytes]] = {".json": bytes, ".gz": gzip.decompress, ".bz2": bz2.decompress}


def bundle_files(directory: Path) -> list[Path]:
    """Bundle files of a folder; what patients refer to comes first."""
    found = [path for path in directory.iterdir() if path.is_file() and path.suffix in OPENERS and not path.name.startswith(".")]
    return sorted(found, key=lambda path: ("hospital" not in path.name.lower(), "practitioner" not in path.name.lower(), path.name))


def read_bundle(path: Path) -> bytes:
    """The file's bytes, decompressed."""
    return OPENERS[path.suffix](path.read_bytes())


def load_bundles(client: FhirClient, directory: Path, ledger: Path, counts: Counts) -> list[Resource]:
    """Send every bundle that was not sent before; return the patients that the folder holds.

    The ledger remembers a file by its content. Where it was lost, a patient who is stored already speaks for their file.

    Raises:
        FhirFailed: A bundle, or an entry of a batch, was refused; the message names the file.
    """
    sent: dict[str, list[str]] = json.loads(ledger.read_text(encoding="utf-8")) if ledger.is_file() else {}
    patients: list[Resource] = []
    counts.update({"bundles": 0, "resources": 0})
    for path in bundle_files(directory):
        body = read_bundle(path)
        digest = hashlib.sha256(body).hexdigest()
        bundle = json.loads(body)
        if digest not in sent:
            sent[digest] = _stored_patients(client, bundle) or _send(client, path, body)
            write_json(ledger, sent)
        patients += [client.get(f"Patient/{id_}") for id_ in sent[digest]]
        counts["bundles"] += 1
        counts["resources"] += len(bundle.get("entry", ()))
    return patients


def _stored_patients(client: FhirClient, bundle: dict[str, Any]) -> list[str]:
    """Ids of the bundle's patients if all of them are stored: transactions are all or nothing."""
    found = []
    for entry in bundle.get("entry", ()):
        resource = entry.get("resource", {})
        if resource.get("resourceType") == "Patient" and resource.get("identifier"):
            identifier = resource["identifier"][0]
            matches = list(client.each(f"Patient?identifier={identifier.get('system', '')}|{identifier['value']}"))
            if not matches:
                return []
            found.append(str(matches[0]["id"]))
    return found


def _send(client: FhirClient, path: Path, body: bytes) -> list[str]:
    try:
        answer = client.transaction(body)
    except FhirFailed as error:
        raise FhirFailed(f"{path.name}: {error}") from None
    refused = [entry["response"]["status"] for entry in answer["entry"] if not entry["response"]["status"].startswith("2")]
    if refused:
        raise FhirFailed(f"{path.name}: {len(refused)} entries were refused, the first with {refused[0]}")
    locations = (entry["response"].get("location", "") for entry in answer["entry"])
    # A location is absolute or relative to the base: …/Patient/{id}/_history/{version}
    parts = [location.split("/_history")[0].rstrip("/").split("/") for location in locations]
    return [part[-1] for part in parts if len(part) > 1 and part[-2] == "Patient"]
