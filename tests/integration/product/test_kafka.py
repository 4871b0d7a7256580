"""The product over Kafka: a note becomes a claim that is paid once, though the server is killed and the broker goes away meanwhile."""

import json

import httpx
import pytest
from confluent_kafka import Consumer

from tests.integration.bus.brokers import Broker, Wire
from tests.integration.product.clinic import Clinic, until


@pytest.mark.long
@pytest.mark.conformance("Events", "the product over Kafka: a note becomes a claim, paid once, though the broker goes away and the server is killed")
@pytest.mark.conformance("Faults", "an absent Kafka broker holds events back; messages are taken all the same, and every claim follows")
def test_a_note_becomes_a_claim_over_kafka(open_clinic, tmp_path):
    with Wire(0) as wire, Broker(tmp_path / "broker.log", advertised=wire.port) as broker:
        wire.target = broker.port
        environment = {"CHARTLOOP_BUS__URL": broker.url, "CHARTLOOP_BUS__SESSION_TIMEOUT_S": "6", "CHARTLOOP_BUS__PARTITIONS": "2"}
        clinic: Clinic = open_clinic(environment=environment)
        clinic.start()
        visits = clinic.population.visits[:4]
        clinic.load(visits)
        clinic.send(visits[:2])
        clinic.finish(visits[:2])
        wire.cut()
        clinic.send(visits[2:])
        assert behind(clinic, "relay") > 0
        clinic.kill()
        clinic.start_server()
        assert behind(clinic, "relay") > 0
        wire.mend()
        clinic.finish(visits)
        until(lambda: behind(clinic, "relay") == 0, "the outbox to be published")
        clinic.assert_each_claim_once(len(visits))
        clinic.assert_audit_holds()
        told = topic(broker, "chartloop-events")
    assert {"chartloop.MessageReceived", "chartloop.ResourceCreated", "chartloop.InterchangeQueued"} <= {each["type"] for each in told}
    said = json.dumps(told)
    assert not [visit.person.mrn for visit in visits if visit.person.mrn in said or visit.person.family in said]


def behind(clinic: Clinic, consumer: str) -> float:
    """What the metrics say of a consumer."""
    lines = httpx.get(f"{clinic.demo.server}/metrics", trust_env=False, timeout=10).text.splitlines()
    return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f'chartloop_events_behind{{consumer="{consumer}"}}'))


def topic(broker: Broker, name: str) -> list[dict[str, object]]:
    """Everything that somebody else reads in a topic."""
    consumer = Consumer({"bootstrap.servers": f"127.0.0.1:{broker.advertised}", "group.id": "somebody-else", "auto.offset.reset": "earliest", "log_level": 0})
    consumer.subscribe([name])
    first = until(lambda: consumer.poll(1), "the first record")
    messages = [first, *consumer.consume(100_000, timeout=3)]
    consumer.close()
    return [json.loads(message.value()) for message in messages if not message.error()]
