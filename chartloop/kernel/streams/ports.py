"""What an adapter of a stream implements: one end that publishes, one that reads, and the making of the stream."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

Begin = Callable[[str, int, Callable[[int], bool]], int]
"""Where to read a shard from: (shard, position before its oldest record, whether what follows a position is still held) -> position."""

CLOSED = 10**130
"""The position of a reader that is through with a shard to which nothing will be added; greater than any that a broker gives."""

AGAIN_S = 1.0
"""How long to wait before a stream that broke is opened anew."""


class StreamBroken(Exception):
    """The stream cannot be read or written as it is now: begin anew after a while."""


class Mark(NamedTuple):
    """A place in the order of the outbox."""

    xid: int
    seq: int


BEGINNING = Mark(-1, 0)


class Record(NamedTuple):
    """Something to publish; what shares a key keeps its order."""

    key: str
    body: bytes
    dead: bool = False
    """Whether it is for the dead-letter topic."""


class Arrived(NamedTuple):
    """A record at its position in one shard (partition) of the stream; an empty body is the end of a closed shard."""

    shard: str
    position: int
    body: bytes


class Sink(Protocol):
    """The end that publishes."""

    def send(self, records: Sequence[Record], alive: Callable[[], None]) -> dict[str, int]:
        """Return when the broker has acknowledged every record, however long that takes; the order of each key is kept.

        Args:
            records: What to publish; those for the dead-letter topic among them.
            alive: Called now and then; what it raises ends the sending.

        Returns:
            For each shard that got some, the index of the record that came last in it; dead letters do not count.

        Raises:
            StreamBroken: The broker refuses; a prefix of each shard's records may have been published.
        """
        ...

    def close(self) -> None:
        """Give up what was not sent."""
        ...


class Source(Protocol):
    """The end that reads for one consumer; several processes share the shards."""

    def poll(self, timeout_s: float) -> list[Arrived]:
        """What has come, each shard in its order; nothing when the time is over.

        Raises:
            StreamBroken: It must be opened anew.
        """
        ...

    def seek(self, shard: str, position: int) -> None:
        """Go on after this position, where the shard is still read here."""
        ...

    def pause(self) -> None:
        """Fetch nothing for now; membership of the group is kept by going on to poll."""
        ...

    def resume(self) -> None:
        """Fetch again."""
        ...

    def reached(self, positions: dict[str, int]) -> None:
        """Tell the broker how far this consumer is, for those who watch lag there; the store's positions are the true ones."""
        ...

    def close(self) -> None:
        """Leave."""
        ...


class Stream(Protocol):
    """A topic or stream."""

    name: str

    def sink(self, parts: int) -> Sink:
        """Open the end that publishes; a key goes to one of so many parts."""
        ...

    def source(self, consumer: str, begin: Begin, lead: Callable[[], bool]) -> Source:
        """Open the end that reads for a consumer; `lead` says whether this process may, where the broker does not share shards out."""
        ...

    def create(self) -> list[str]:
        """Make the topics that are missing; return their names."""
        ...
