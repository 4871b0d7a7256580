"""Reading a Kinesis stream for one consumer: an iterator for each shard, and a shard's parents before itself.

Spec: https://docs.aws.amazon.com/streams/latest/dev/kinesis-using-sdk-java-after-resharding.html
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from chartloop.kernel import clock
from chartloop.kernel.streams.ports import CLOSED, Arrived, Begin, StreamBroken

_FETCH: Final = 500
_LOOK_S: Final = 30.0
_THROTTLED: Final = "ProvisionedThroughputExceededException"
_EXPIRED: Final = "ExpiredIteratorException"


@dataclass
class _Shard:
    """A shard that is read: where, and with which iterator; none where it must be asked for."""

    position: int
    iterator: str | None = None


class KinesisSource:
    """The end that reads for one consumer."""

    def __init__(self, client: Any, stream: str, begin: Begin, lead: Callable[[], bool], poll_s: float) -> None:
        """Take a client."""
        self._client = client
        self._stream = stream
        self._begin = begin
        self._lead = lead
        self._poll_s = poll_s
        self._shards: dict[str, _Shard] = {}
        self._looked_s = float("-inf")
        self._paused = False
        self._rest = threading.Event()
        self._behind = True

    def poll(self, timeout_s: float) -> list[Arrived]:
        """What has come; see `Source`. It rests before it looks, where the last look found the end of every shard."""
        if not self._behind:
            self._rest.wait(max(timeout_s, self._poll_s))
        self._behind = False
        if not self._lead():
            self._shards.clear()
            return []
        try:
            self._look()
            return [] if self._paused else [each for name in list(self._shards) for each in self._get(name)]
        except (BotoCoreError, ClientError) as error:
            raise StreamBroken(name_of(error)) from None

    def _look(self) -> None:
        """Find shards to read; a child waits until its parents are read to their ends."""
        if self._shards and clock.monotonic_s() - self._looked_s < _LOOK_S:
            return
        listed = self._listed()
        for name, parents in listed.items():
            unread = [parent for parent in parents if parent in listed and (parent not in self._shards or self._shards[parent].position != CLOSED)]
            if name not in self._shards and not unread:
                self._shards[name] = _Shard(self._begin(name, 0, lambda position, name=name: self._holds(name, position)))  # type: ignore[misc]
        self._looked_s = clock.monotonic_s()

    def _listed(self) -> dict[str, list[str]]:
        """Every shard with its parents, parents first."""
        found: dict[str, list[str]] = {}
        asked: dict[str, str] = {"StreamName": self._stream}
        while True:
            answer = self._client.list_shards(**asked)
            for each in answer["Shards"]:
                found[each["ShardId"]] = [each[name] for name in ("ParentShardId", "AdjacentParentShardId") if each.get(name)]
            if not answer.get("NextToken"):
                return dict(sorted(found.items()))
            asked = {"NextToken": answer["NextToken"]}

    def _holds(self, name: str, position: int) -> bool:
        """Whether the stream knows this position."""
        if position in (0, CLOSED):
            return True
        try:
            self._iterator(name, position)
        except ClientError as error:
            if name_of(error) in ("InvalidArgumentException", "ResourceNotFoundException"):
                return False
            raise
        return True

    def _iterator(self, name: str, position: int) -> str:
        where = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": str(position)} if position else {"ShardIteratorType": "TRIM_HORIZON"}
        return str(self._client.get_shard_iterator(StreamName=self._stream, ShardId=name, **where)["ShardIterator"])

    def _get(self, name: str) -> list[Arrived]:
        shard = self._shards[name]
        if shard.position == CLOSED:
            return []
        try:
            shard.iterator = shard.iterator or self._iterator(name, shard.position)
            answer = self._client.get_records(ShardIterator=shard.iterator, Limit=_FETCH)
        except ClientError as error:
            if name_of(error) not in (_THROTTLED, _EXPIRED):
                raise
            shard.iterator = None if name_of(error) == _EXPIRED else shard.iterator
            return []
        arrived = [Arrived(name, int(each["SequenceNumber"]), each["Data"]) for each in answer["Records"]]
        shard.iterator = answer.get("NextShardIterator")
        if arrived:
            shard.position = arrived[-1].position
            self._behind = True
        if shard.iterator is None:
            shard.position = CLOSED
            self._looked_s = float("-inf")
            arrived.append(Arrived(name, CLOSED, b""))
        return arrived

    def seek(self, shard: str, position: int) -> None:
        """Go on after this position."""
        if shard in self._shards:
            self._shards[shard] = _Shard(position)

    def pause(self) -> None:
        """Fetch nothing for now."""
        self._paused = True

    def resume(self) -> None:
        """Fetch again."""
        self._paused = False

    def reached(self, positions: dict[str, int]) -> None:
        """Nobody keeps this but the store."""

    def close(self) -> None:
        """Nothing is open."""


def name_of(error: Exception) -> str:
    """Name an error; its text may hold addresses and accounts."""
    return str(error.response.get("Error", {}).get("Code", "ClientError")) if isinstance(error, ClientError) else type(error).__name__
