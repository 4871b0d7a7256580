"""What only a cluster can show: who is not let in, and a broker of three that dies while events flow. Runs where Apache Kafka is: apache_kafka.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from chartloop.kernel.errors import Unavailable
from chartloop.kernel.streams.opening import create_topics
from tests.integration.transport.certificates import Authority

from .apache_kafka import PASSWORD, ApacheKafka
from .test_streams import assert_each_once_and_in_order, open_world, publish_rounds
from .world import Effects, settings_for

pytestmark = pytest.mark.long


@pytest.mark.conformance("Events", "Apache Kafka: an account that proves itself over TLS with a certificate is let in, and nobody else; the error holds no password")
@pytest.mark.parametrize("wrong", ["password", "authority", "certificate", "clear"])
def test_who_does_not_prove_itself_is_not_let_in(apache_kafka: ApacheKafka, tmp_path: Path, wrong: str) -> None:
    stranger = Authority(tmp_path, "stranger")
    certificate, key = stranger.issue("worker")
    other = {
        "password": {"password": PASSWORD.upper()},
        "authority": {"ca": stranger.file},
        "certificate": {"certificate": certificate, "key": key},
        "clear": {"security": "SASL_PLAINTEXT"},
    }
    settings = settings_for(apache_kafka.url, **{**apache_kafka.settings, **other[wrong]})
    with pytest.raises(Unavailable, match="The topics could not be made") as refused:
        create_topics(settings)
    assert PASSWORD not in str(refused.value).lower()
    assert create_topics(settings_for(apache_kafka.url, **apache_kafka.settings))


@pytest.mark.conformance("Faults", "Apache Kafka: of three brokers each dies once (kill -9) while events flow; nothing is lost, repeated or out of order")
def test_each_of_three_brokers_dies_while_events_flow(apache_kafka: ApacheKafka, tmp_path: Path) -> None:
    world = open_world(tmp_path, apache_kafka.url, **apache_kafka.settings)
    try:
        bus, effects = world.bus(), Effects(world.database)
        worker = world.work(bus, effects)
        publish_rounds(world, bus, range(4))
        assert worker.idle(60)
        for turn, number in enumerate((1, 2, 3), start=1):
            publish_rounds(world, bus, range(4 * turn, 4 * turn + 2))
            apache_kafka.kill(number)
            publish_rounds(world, bus, range(4 * turn + 2, 4 * turn + 4))
            assert worker.idle(120)
            apache_kafka.start(number)
            apache_kafka.until_all_answer()
        assert_each_once_and_in_order(world, 80)
    finally:
        world.close()
        world.database.close()
