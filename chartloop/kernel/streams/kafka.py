"""Kafka: an idempotent producer that waits for every replica in sync, and a consumer group for each consumer.

Spec: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md (structured mode)
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from chartloop.kernel.streams.envelope import CONTENT_TYPE
from chartloop.kernel.streams.ports import Arrived, Begin, Record, StreamBroken

_log = logging.getLogger("chartloop.kafka")
_HEADERS: Final[list[tuple[str, str | bytes | None]]] = [("content-type", CONTENT_TYPE.encode())]
_ERRORS: Final = 3
_FETCH: Final = 500
_WAIT_S: Final = 0.1
_ASK_S: Final = 5.0
_PRODUCER: Final[Mapping[str, Any]] = {
    "enable.idempotence": True,
    "acks": "all",
    # A record that timed out in the middle of its key would let the next one overtake it: none times out, and a refusal ends the producer.
    "message.timeout.ms": 0,
    "enable.gapless.guarantee": True,
    "linger.ms": 2,
    "compression.type": "none",
}
_CONSUMER: Final[Mapping[str, Any]] = {
    "partition.assignment.strategy": "cooperative-sticky",
    "enable.auto.offset.store": False,
    "enable.auto.commit": True,  # of what was stored by hand, for those who watch lag: the store's positions are the true ones
    "auto.commit.interval.ms": 1000,
    "auto.offset.reset": "error",  # what the topic has lost is taken from the outbox, not jumped over
    "allow.auto.create.topics": False,
    "fetch.wait.max.ms": 100,
    "queued.min.messages": 1000,
    "queued.max.messages.kbytes": 2048,  # the memory of a consumer that is slow
}


class Topic(NamedTuple):
    """A topic as it is made where it is missing; 0 copies are the broker's default."""

    name: str
    partitions: int
    copies: int
    keep_s: float

    @property
    def dead(self) -> str:
        """Where dead letters are told."""
        return f"{self.name}-dead-letters"


class KafkaStream:
    """A topic of events, and one of dead letters."""

    def __init__(self, topic: Topic, client: Mapping[str, Any], *, session_timeout_s: float = 45.0) -> None:
        """Take the topic, and librdkafka's settings of how to reach the brokers."""
        self.name = topic.name
        self._topic = topic
        self._client = {**client, "logger": _log, "log_level": _ERRORS, "error_cb": _note}
        self._session_ms = round(session_timeout_s * 1000)

    def sink(self, parts: int) -> "KafkaSink":
        """Open the end that publishes; a key goes to one of the first `parts` partitions, so that adding some moves none."""
        return KafkaSink(Producer({**self._client, **_PRODUCER}), self._topic, parts)

    def source(self, consumer: str, begin: Begin, lead: Callable[[], bool]) -> "KafkaSource":
        """Open the end that reads for a consumer; Kafka shares the partitions out."""
        group = {"group.id": f"{self.name}.{consumer}", "session.timeout.ms": self._session_ms, "heartbeat.interval.ms": self._session_ms // 3}
        return KafkaSource(Consumer({**self._client, **_CONSUMER, **group}), self.name, begin)

    def create(self) -> list[str]:
        """Make the topics that are missing; return their names.

        Raises:
            StreamBroken: No broker answers, or it refuses.
        """
        settings = {"cleanup.policy": "delete", "retention.ms": str(round(self._topic.keep_s * 1000))}
        copies = self._topic.copies or -1
        wanted = [NewTopic(self.name, self._topic.partitions, copies, config=settings), NewTopic(self._topic.dead, 1, copies, config=settings)]
        try:
            admin = AdminClient(self._client)
            there = admin.list_topics(timeout=_ASK_S).topics
            missing = [each for each in wanted if each.topic not in there]
            answers = admin.create_topics(missing, request_timeout=_ASK_S) if missing else {}
            made = [name for name, answer in answers.items() if _made(answer)]
        except KafkaException as error:
            raise _broken(error) from None
        return made


class KafkaSink:
    """The end that publishes."""

    def __init__(self, producer: Producer, topic: Topic, parts: int) -> None:
        """Take a producer of its own."""
        self._producer = producer
        self._topic = topic
        self._parts = parts
        self._open = 0
        self._failure: KafkaError | None = None

    def send(self, records: Sequence[Record], alive: Callable[[], None]) -> dict[str, int]:
        """Return when the broker has acknowledged every record; see `Sink`."""
        last: dict[str, int] = {}
        self._open, self._failure = len(records), None
        for index, record in enumerate(records):
            partition = 0 if record.dead else int(record.key[:8], 16) % self._parts
            self._produce(record, partition, alive)
            if not record.dead:
                last[str(partition)] = index
        while self._open:
            self._producer.poll(_WAIT_S)
            self._refuse()
            alive()
        self._refuse()
        return last

    def _produce(self, record: Record, partition: int, alive: Callable[[], None]) -> None:
        topic = self._topic.dead if record.dead else self._topic.name
        while True:
            try:
                self._producer.produce(topic, record.body, record.key.encode(), partition, self._delivered, headers=_HEADERS)
            except BufferError:
                self._producer.poll(_WAIT_S)
                alive()
            except KafkaException as error:
                raise _broken(error) from None
            else:
                return

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        self._open -= 1
        self._failure = self._failure or error

    def _refuse(self) -> None:
        if self._failure:
            raise StreamBroken(self._failure.name())

    def close(self) -> None:
        """Give up what was not sent: it goes with the producer."""
        with suppress(KafkaException):
            self._producer.flush(_WAIT_S)


class KafkaSource:
    """The end that reads for one consumer."""

    def __init__(self, consumer: Consumer, topic: str, begin: Begin) -> None:
        """Join the group."""
        self._consumer = consumer
        self._topic = topic
        self._begin = begin
        self._paused = False
        consumer.subscribe([topic], on_assign=self._assigned)

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for each in partitions:
            first, end = consumer.get_watermark_offsets(TopicPartition(self._topic, each.partition), timeout=_ASK_S)
            each.offset = 1 + self._begin(str(each.partition), first - 1, lambda position, first=first, end=end: first - 1 <= position < end)  # type: ignore[misc]
        consumer.incremental_assign(partitions)
        if self._paused:
            consumer.pause(partitions)

    def poll(self, timeout_s: float) -> list[Arrived]:
        """What has come; see `Source`."""
        try:
            first = self._consumer.poll(timeout_s)
            messages = [first, *self._consumer.consume(_FETCH - 1, timeout=0)] if first else []
        except KafkaException as error:
            raise _broken(error) from None
        for message in messages:
            if (wrong := message.error()) is not None:
                raise StreamBroken(wrong.name())
        return [Arrived(str(each.partition()), each.offset() or 0, each.value() or b"") for each in messages]

    def seek(self, shard: str, position: int) -> None:
        """Go on after this position."""
        with suppress(KafkaException):  # a partition that is no longer ours
            self._consumer.seek(TopicPartition(self._topic, int(shard), position + 1))

    def pause(self) -> None:
        """Fetch nothing for now."""
        self._paused = True
        self._consumer.pause(self._consumer.assignment())

    def resume(self) -> None:
        """Fetch again."""
        self._paused = False
        self._consumer.resume(self._consumer.assignment())

    def reached(self, positions: dict[str, int]) -> None:
        """Tell the broker how far this consumer is."""
        with suppress(KafkaException):
            self._consumer.store_offsets(offsets=[TopicPartition(self._topic, int(shard), position + 1) for shard, position in positions.items()])

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()


def _made(answer: Any) -> bool:
    try:
        answer.result()
    except KafkaException as error:
        if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return False
        raise
    return True


def _broken(error: KafkaException) -> StreamBroken:
    """Name the error alone: its text may hold addresses and accounts."""
    return StreamBroken(error.args[0].name() if error.args and isinstance(error.args[0], KafkaError) else type(error).__name__)


def _note(error: KafkaError) -> None:
    _log.warning("The brokers do not answer as they should.", extra={"action": "stream.error", "error": error.name()})
