"""Kinesis: records are put in waves that hold a key once, so that a record which fails cannot be overtaken by one of its key.

Spec: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from chartloop.kernel.streams.kinesis_reading import KinesisSource, name_of
from chartloop.kernel.streams.ports import Begin, Record, StreamBroken

_WAVE: Final = 500
"""Records that PutRecords takes at once."""
_BACKOFF_S: Final = (0.1, 0.2, 0.5, 1.0)
_MOST_HOURS: Final = 8760
_LEAST_HOURS: Final = 24
_PASSING: Final = frozenset({"ProvisionedThroughputExceededException", "LimitExceededException", "KMSThrottlingException", "InternalFailure", "ServiceUnavailable"})


class KinesisName(NamedTuple):
    """A stream as it is made where it is missing; an endpoint only where it is not AWS's own."""

    region: str
    name: str
    shards: int
    keep_s: float
    endpoint: str = ""

    @property
    def dead(self) -> str:
        """Where dead letters are told."""
        return f"{self.name}-dead-letters"


class KinesisStream:
    """A stream of events, and one of dead letters. Who may use them is AWS's to know: roles, environment, profiles."""

    def __init__(self, stream: KinesisName, *, poll_s: float = 2.0) -> None:
        """Take the stream, and how long to wait between two looks at a shard: all consumers together may look five times a second."""
        self.name = stream.name
        self._stream = stream
        self._poll_s = poll_s
        settings = Config(connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 1})
        self._client = boto3.client("kinesis", region_name=stream.region, endpoint_url=stream.endpoint or None, config=settings)

    def sink(self, parts: int) -> "KinesisSink":
        """Open the end that publishes; Kinesis itself spreads keys over shards."""
        return KinesisSink(self._client, self._stream)

    def source(self, consumer: str, begin: Begin, lead: Callable[[], bool]) -> KinesisSource:
        """Open the end that reads for a consumer, in one process at a time."""
        return KinesisSource(self._client, self.name, begin, lead, self._poll_s)

    def create(self) -> list[str]:
        """Make the streams that are missing; return their names.

        Raises:
            StreamBroken: AWS does not answer, or refuses.
        """
        hours = min(_MOST_HOURS, round(self._stream.keep_s / 3600))
        made = []
        try:
            for name, shards in ((self._stream.name, self._stream.shards), (self._stream.dead, 1)):
                try:
                    self._client.create_stream(StreamName=name, ShardCount=shards)
                except self._client.exceptions.ResourceInUseException:
                    continue
                self._client.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
                if hours > _LEAST_HOURS:
                    self._client.increase_stream_retention_period(StreamName=name, RetentionPeriodHours=hours)
                made.append(name)
        except (BotoCoreError, ClientError) as error:
            raise StreamBroken(name_of(error)) from None
        return made


class KinesisSink:
    """The end that publishes."""

    def __init__(self, client: Any, stream: KinesisName) -> None:
        """Take a client."""
        self._client = client
        self._stream = stream

    def send(self, records: Sequence[Record], alive: Callable[[], None]) -> dict[str, int]:
        """Return when Kinesis has acknowledged every record; see `Sink`."""
        told = [index for index, record in enumerate(records) if not record.dead]
        last = self._send(self._stream.name, records, told, alive)
        self._send(self._stream.dead, records, [index for index, record in enumerate(records) if record.dead], alive)
        return last

    def _send(self, name: str, records: Sequence[Record], waiting: Sequence[int], alive: Callable[[], None]) -> dict[str, int]:
        last: dict[str, tuple[int, int]] = {}
        failures = 0
        while waiting:
            alive()
            wave = _wave(records, waiting)
            done = self._put(name, [records[index] for index in wave])
            for place, (shard, number) in done.items():
                last[shard] = max(last.get(shard, (-1, 0)), (number, wave[place]))
            put = {wave[place] for place in done}
            waiting = [index for index in waiting if index not in put]
            failures = 0 if len(done) == len(wave) else failures + 1
            if failures:
                time.sleep(_BACKOFF_S[min(failures, len(_BACKOFF_S)) - 1])
        return {shard: index for shard, (_, index) in last.items()}

    def _put(self, name: str, records: Sequence[Record]) -> dict[int, tuple[str, int]]:
        """Put a wave; return shard and sequence number of each that was taken, by its place."""
        entries = [{"Data": record.body, "PartitionKey": record.key} for record in records]
        try:
            answer = self._client.put_records(StreamName=name, Records=entries)
        except (BotoCoreError, ClientError) as error:
            if isinstance(error, ClientError) and name_of(error) not in _PASSING:
                raise StreamBroken(name_of(error)) from None
            return {}  # perhaps it was put: it is put again, and counts once
        return {place: (each["ShardId"], int(each["SequenceNumber"])) for place, each in enumerate(answer["Records"]) if not each.get("ErrorCode")}

    def close(self) -> None:
        """Nothing waits here."""


def _wave(records: Sequence[Record], waiting: Sequence[int]) -> list[int]:
    """Of what waits, the first of each key, as many as one call takes."""
    first: dict[str, int] = {}
    for index in waiting:
        first.setdefault(records[index].key, index)
        if len(first) == _WAVE:
            break
    return list(first.values())
