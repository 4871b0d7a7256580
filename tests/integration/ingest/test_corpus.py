"""Public messages, all the way: answered, mapped or dead-lettered with a position, and nothing doubled by a replay."""

import json
from collections import Counter

import pytest

from chartloop.demo.mllp_client import MllpClient
from ingest.hl7v2.parser import parse

KINDS = (
    "Patient", "Encounter", "Condition", "Coverage", "ChargeItem", "DocumentReference", "Organization", "Practitioner", "RelatedPerson",
    "Observation", "DiagnosticReport",
)  # fmt: skip


def messages(corpus):
    raws = [path.read_bytes() for path in sorted((corpus / "hl7v2").rglob("*.hl7"))]
    lines = (corpus / "hl7v2/messages-linuxforhealth/inline-test-messages.jsonl").read_text().splitlines()
    return raws + [json.loads(line)["message"].encode() for line in lines]


def versions(look):
    return Counter((r["resourceType"], r["id"], r["version"]) for kind in KINDS for r in look(kind, "_count=500"))


@pytest.mark.corpus
@pytest.mark.conformance("HL7 v2", "A replay of two public collections changes nothing")
def test_a_replay_of_public_messages_changes_nothing(corpus, database, intake, deliver, look, listen):
    everything = [raw.decode("utf-8", "replace") for raw in messages(corpus)]
    texts = [text for text in everything if parse(text.encode()).message.header.value(15).strip() not in ("NE", "ER")]
    with MllpClient("127.0.0.1", listen(intake)) as client:
        for text in texts:
            client.send(text)
    errors = deliver()
    assert errors == {}
    before = versions(look)
    assert sum(before.values()) > 50
    for text in texts:
        intake.receive(text.encode())
    assert deliver() == {}
    assert versions(look) == before


@pytest.mark.corpus
def test_public_messages_of_every_family_give_fhir_that_the_store_takes(corpus, database, deliver, look):
    """What intake would refuse for its trigger event or its header is made acceptable, so that the mapping is tried on all of them."""
    taken = {"ADT": "A08", "DFT": "P03", "MDM": "T02", "ORU": "R01"}
    errors = {}
    for number, raw in enumerate(messages(corpus)):
        message = parse(raw).message
        if message.type not in taken:
            continue
        fields = message.header.raw.split("|")
        fields += [""] * (18 - len(fields))
        fields[8:12] = [f"{message.type}^{taken[message.type]}", f"C{number}", "P", "2.6"]
        body = "|".join(fields) + "\r" + "".join(f"{segment.raw}\r" for segment in message.segments[1:])
        errors.update({f"{number}:{subject}": text for subject, text in deliver(body).items()})
    assert {text.partition(" cannot be mapped")[1] for text in errors.values()} <= {" cannot be mapped"}, errors
    assert len(look("Patient", "_count=500")) > 20
    assert len(look("Observation", "_count=500")) > 40
