"""The places of a bulkhead: so many calls to one payer at once, and no more, however long they take."""

import threading


class Place:
    """One place, held by a caller and by the thread of its call; free when both have left."""

    def __init__(self, places: "Places", payer: str) -> None:
        """Begin with one holder."""
        self._places, self._payer, self._holders = places, payer, 1
        self._lock = threading.Lock()

    def share(self) -> None:
        """Hold it as well."""
        with self._lock:
            self._holders += 1

    def leave(self) -> None:
        """Hold it no longer."""
        with self._lock:
            self._holders -= 1
            free = self._holders == 0
        if free:
            self._places.free(self._payer)


class Places:
    """Places taken, by payer."""

    def __init__(self) -> None:
        """Begin empty."""
        self._lock = threading.Lock()
        self._taken: dict[str, int] = {}

    def take(self, payer: str, most: int) -> Place | None:
        """Take a place, or None where all are taken; nobody waits."""
        with self._lock:
            taken = self._taken.get(payer, 0)
            if taken >= most:
                return None
            self._taken[payer] = taken + 1
        return Place(self, payer)

    def free(self, payer: str) -> None:
        """Give a place back."""
        with self._lock:
            self._taken[payer] -= 1
