"""Failed tries are counted before they are looked at, and each one over the free ones makes the next wait longer.

Nobody can lock a colleague out for ever: the wait has an end, a browser that this login has used before is counted by itself, a try during
the wait does not make it longer, and a one-time link of the administrator opens whatever is locked.
Spec: https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chartloop.kernel import clock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chartloop.kernel.db import Tx
    from smart_apps.people.sealing import Seal

FIRST_WAIT_S = 15
MICROSECONDS = 1_000_000
FORGET_S = 24 * 3600
ANYWHERE = 4  # times as many free tries for one login from everywhere
NETWORK = 20  # times as many for everything from one network: a hospital has one address


@dataclass(frozen=True, slots=True)
class Bucket:
    """Something that is counted, how often it may fail before there is a wait, and whether others share it."""

    key: bytes
    free: int
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Throttle:
    """How tries are counted.

    Attributes:
        seal: Hashes what is counted, so that no typed login stands in a row.
        tries: Free tries of one login from one network.
        longest_s: The longest wait.
    """

    seal: Seal
    tries: int
    longest_s: int

    def strangers(self, login: str, address: str) -> list[Bucket]:
        """What a browser is counted under that this login has not used before."""
        near = network(address)
        pair = Bucket(self.seal.mac("pair", login, near), self.tries)
        return [pair, Bucket(self.seal.mac("login", login), self.tries * ANYWHERE), Bucket(self.seal.mac("network", near), self.tries * NETWORK, shared=True)]

    def known(self, device: str) -> list[Bucket]:
        """What a browser is counted under that this login has used before."""
        return [Bucket(self.seal.mac("device", device), self.tries)]

    def second(self, person: str) -> list[Bucket]:
        """What second factors of one person are counted under."""
        return [Bucket(self.seal.mac("second", person), self.tries)]

    def take(self, tx: Tx, buckets: Sequence[Bucket]) -> int:
        """Count a try in every bucket; when one of them waits, count nothing and give the seconds that are left.

        It counts before anybody looks whether the try is right: a hundred at once are a hundred.
        """
        now = clock.now_us()
        tx.run("delete from login_throttle where changed < ?", (now - FORGET_S * MICROSECONDS,))
        waiting = self.until(tx, buckets)
        counted: list[Bucket] = []
        for bucket in sorted(buckets, key=lambda each: each.key) if waiting <= now else ():
            waiting = self._count(tx, bucket, now)
            if waiting > now:  # another try was faster: this one does not count
                break
            counted.append(bucket)
        if waiting <= now:
            return 0
        for bucket in counted:
            tx.run("update login_throttle set failures = failures - 1 where bucket = ?", (bucket.key,))
        return -((now - waiting) // MICROSECONDS)

    def _count(self, tx: Tx, bucket: Bucket, now: int) -> int:
        """Count one try; gives until when the bucket waited before it, for its row is locked from here on."""
        tx.run(
            "insert into login_throttle (bucket, failures, until, changed) values (?, 1, 0, ?)"
            " on conflict (bucket) do update set failures = login_throttle.failures + 1, changed = excluded.changed",
            (bucket.key, now),
        )
        failures, until = tx.one("select failures, until from login_throttle where bucket = ?", (bucket.key,)) or (1, 0)
        if until > now:
            tx.run("update login_throttle set failures = failures - 1 where bucket = ?", (bucket.key,))
        elif failures >= bucket.free:
            wait_s = self.wait_s(failures - bucket.free)
            tx.run("update login_throttle set until = ? where bucket = ?", (now + wait_s * MICROSECONDS, bucket.key))
        return int(until)

    def wait_s(self, over: int) -> int:
        """How long to wait after so many failures over the free ones."""
        return int(min(self.longest_s, FIRST_WAIT_S * 2 ** min(over, 20)))

    def succeed(self, tx: Tx, buckets: Sequence[Bucket]) -> None:
        """Forget the tries of a login that was right; of a network it takes back the one."""
        for bucket in buckets:
            if bucket.shared:
                tx.run("update login_throttle set failures = failures - 1, until = 0 where bucket = ?", (bucket.key,))
            else:
                tx.run("delete from login_throttle where bucket = ?", (bucket.key,))

    def until(self, tx: Tx, buckets: Sequence[Bucket]) -> int:
        """Give the instant at which the next try is looked at."""
        rows = [tx.one("select until from login_throttle where bucket = ?", (bucket.key,)) for bucket in buckets]
        return max((row[0] for row in rows if row is not None), default=0)


def network(address: str) -> str:
    """Give what stands for a caller: an IPv4 address, or the /64 that one subscriber has."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    mapped = getattr(found, "ipv4_mapped", None)
    if mapped is not None:
        return str(mapped)
    return str(ipaddress.ip_network(f"{found}/64", strict=False)) if found.version == 6 else str(found)
