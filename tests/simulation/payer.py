"""The payer of the simulation: it lives outside, remembers what it took, and answers as the seed says."""

import random
from collections import Counter

from claims.payers.call import NotReached, OutcomeUnknown, Refused
from claims.payers.places import Place
from tests.simulation.faults import Crash


class Outside:
    """What a client calls; `taken` counts every interchange that really arrived."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.taken: Counter[str] = Counter()
        self.trouble = 0.3

    def send(self, payer: str, base: str, body: bytes, key: str, place: Place | None = None) -> None:
        """Take it or not, and answer or not."""
        del base, body, place
        chance = self.rng.random() / max(self.trouble, 1e-9)
        if chance < 0.3:
            raise NotReached("not there")
        if chance < 0.35:
            raise Refused("HTTP 400")
        if chance < 0.4:
            raise Crash
        if chance < 0.5:
            raise OutcomeUnknown("it may have arrived, and did not")
        self.taken[f"{payer}/{key}"] += 1
        if chance < 0.6:
            raise OutcomeUnknown("it arrived, and nobody said so")
        if chance < 0.7:
            raise Crash

    def probe(self, payer: str, base: str, after: int, place: Place | None = None) -> None:
        """Answer a question, or not."""
        del payer, base, after, place
        if self.rng.random() < self.trouble:
            raise NotReached("not there")
