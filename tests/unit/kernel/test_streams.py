"""The envelope of an event, the address of a bus, and what the settings of a broker may be."""

import json
from pathlib import Path

import jsonschema
import pytest

from chartloop.kernel.config import Settings, explain, load_settings
from chartloop.kernel.dead_letters import DeadLetter
from chartloop.kernel.errors import Invalid, Unavailable
from chartloop.kernel.events import EVENT_TYPES, Event
from chartloop.kernel.settings_sections import BusSettings
from chartloop.kernel.streams.address import address_of
from chartloop.kernel.streams.asyncapi import document
from chartloop.kernel.streams.envelope import decode, encode, encode_dead, mark_of, mark_text
from chartloop.kernel.streams.opening import client_settings, create_topics, open_stream
from chartloop.kernel.streams.ports import BEGINNING, Mark

KEY = "0123456789abcdef0123456789abcdef"
EVENT = Event("e1", "ResourceUpdated", "Observation/7", 3, KEY, "", 1_795_334_400_123_456)


def _schema(message: str):
    whole = document()
    return {**whole["components"]["messages"][message]["payload"], "components": whole["components"]}


@pytest.mark.conformance("Events", "an event on a topic is a CloudEvent 1.0, thin, with its key and its place")
def test_an_event_is_a_cloud_event() -> None:
    assert json.loads(encode(EVENT, "https://fhir.example.org", Mark(741, 18), Mark(740, 9))) == {
        "specversion": "1.0",
        "id": "e1",
        "source": "https://fhir.example.org",
        "type": "chartloop.ResourceUpdated",
        "subject": "Observation/7",
        "time": "2026-11-22T08:00:00.123Z",
        "datacontenttype": "application/json",
        "partitionkey": KEY,
        "sequence": "00000000000002e5-0000000000000012",
        "settled": "00000000000002e4-0000000000000009",
        "data": {"version": 3},
    }


@pytest.mark.conformance("Events", "the AsyncAPI document describes every event type as it is published")
@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_every_event_is_what_the_document_says(name: str) -> None:
    body = encode(Event("e1", name, "x/1", 0, KEY, "r-1", 0), "http://127.0.0.1:8080", Mark(0, 1), BEGINNING)
    jsonschema.validate(json.loads(body), _schema(name))
    assert f"#/components/messages/{name}" in str(document()["channels"]["events"])


def test_an_event_of_another_type_is_refused_by_the_document() -> None:
    body = json.loads(encode(EVENT, "/", Mark(0, 1), BEGINNING))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(body, _schema("GlassBroken"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**body, "patient": "Jones"}, _schema("ResourceUpdated"))


def test_a_dead_letter_is_what_the_document_says() -> None:
    letter = DeadLetter("l1", "coding", 18, "e1", "ResourceUpdated", "Observation/7", KEY, "the reason", 8, EVENT.recorded)
    body = encode_dead(letter, "/", Mark(0, 19), Mark(0, 18))
    jsonschema.validate(json.loads(body), _schema("DeadLetter"))
    assert b"the reason" not in body


def test_every_reference_of_the_document_leads_somewhere() -> None:
    whole = document()

    def follow(node) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                found = whole
                for step in node["$ref"].removeprefix("#/").split("/"):
                    found = found[step]
            for inner in node.values():
                follow(inner)

    follow(whole)
    assert whole["asyncapi"] == "3.0.0"


def test_places_sort_as_their_texts_do() -> None:
    marks = [Mark(0, 1), Mark(0, 300), Mark(9, 2), Mark(10, 1), Mark(2**40, 5)]
    assert sorted(marks) == sorted(marks, key=mark_text)
    assert [mark_of(mark_text(mark)) for mark in marks] == marks
    assert mark_of("no place") is None


def test_what_is_no_event_of_ours_is_none() -> None:
    assert decode(b"") is None
    assert decode(b'{"specversion": "1.0"}') is None
    assert decode(b"\xff") is None


@pytest.mark.parametrize("url", ["", "kafka", "kafka://", "kafka://host", "kafka://user:hunter2@host:9092", "kinesis://us-east-1", "amqp://x:1"])
def test_a_bus_that_is_none_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARTLOOP_BUS__URL", url)
    with pytest.raises(Invalid, match=r"bus\.url"):
        load_settings()


def test_addresses_are_read() -> None:
    assert address_of("kafka://a:9092,b:9093").servers == ("a:9092", "b:9093")
    assert address_of("kinesis://eu-central-1/events")[2:] == ("eu-central-1", "events")
    assert address_of("kafka://127.0.0.1:9092,[::1]:9092,localhost:1").at_home
    assert not address_of("kafka://127.0.0.1:9092,10.0.0.1:9092").at_home


@pytest.mark.conformance("Events", "brokers on other machines are spoken to over TLS, or not at all unless somebody says so")
def test_brokers_elsewhere_are_not_spoken_to_in_clear() -> None:
    there = address_of("kafka://kafka.example.org:9092")
    for security in ("PLAINTEXT", "SASL_PLAINTEXT"):
        with pytest.raises(Invalid, match=r"bus\.insecure"):
            client_settings(there, BusSettings(security=security))
    assert client_settings(there, BusSettings(insecure=True))["bootstrap.servers"] == "kafka.example.org:9092"
    assert client_settings(there, BusSettings(security="SSL"))["security.protocol"] == "SSL"


def test_an_account_comes_from_settings_or_a_file_that_is_private(tmp_path: Path) -> None:
    there, file = address_of("kafka://kafka.example.org:9092"), tmp_path / "password"
    file.write_text("s3cret\n")
    file.chmod(0o600)
    bus = BusSettings(security="SASL_SSL", user="chartloop", password_file=file)
    client = client_settings(there, bus)
    assert (client["sasl.mechanism"], client["sasl.username"], client["sasl.password"]) == ("SCRAM-SHA-512", "chartloop", "s3cret")
    file.chmod(0o644)
    with pytest.raises(Invalid, match="everybody may read"):
        client_settings(there, bus)
    with pytest.raises(Invalid, match=r"bus\.user"):
        client_settings(there, BusSettings(security="SASL_SSL"))
    with pytest.raises(Invalid, match=r"bus\.ca: there is no file"):
        client_settings(there, BusSettings(security="SSL", ca=tmp_path / "nowhere.pem"))


@pytest.mark.conformance("Events", "TLS and SASL settings of Kafka are what librdkafka takes; the password is in no text of the settings")
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_librdkafka_takes_the_settings(mechanism: str) -> None:
    bus = BusSettings(url="kafka://127.0.0.1:1", security="SASL_SSL", mechanism=mechanism, user="chartloop", password="hunter2")
    settings = Settings(bus=bus)
    stream = open_stream(settings)
    assert stream is not None
    stream.sink(2).close()
    stream.source("somebody", lambda shard, first, holds: first, lambda: True).close()
    assert "hunter2" not in repr(settings) + str(explain(settings))


def test_a_broker_that_does_not_answer_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chartloop.kernel.streams.kafka._ASK_S", 0.3)
    settings = Settings(bus=BusSettings(url="kafka://127.0.0.1:1"))
    with pytest.raises(Unavailable, match="whether the brokers"):
        create_topics(settings)
