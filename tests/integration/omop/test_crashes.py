"""A crash between any two commits of the two databases heals when the event comes again."""

import pytest

from chartloop.kernel.worker import Later
from omop_bridge.runs import Interrupted
from tests.integration.omop.test_following import merged, patient, values, visit, weight
from tests.integration.omop.world import World


class Crash(BaseException):
    """The process is gone."""


class Fragile:
    """A database whose n-th commit, counted over both, is the last thing that happens, or does not happen any more."""

    commits, fatal, durable = 0, 0, False

    def __init__(self, database):
        self.database = database

    def __getattr__(self, name):
        return getattr(self.database, name)

    def write(self, work):
        def until(tx):
            result = work(tx)
            Fragile.commits += 1
            self.last = Fragile.commits == Fragile.fatal
            if self.last and not Fragile.durable:
                raise Crash
            return result

        found = self.database.write(until)
        if self.last:
            raise Crash
        return found


def crashes(world, fatal, durable):
    """Follow with a crash at one commit; say whether there was one."""
    Fragile.commits, Fragile.fatal, Fragile.durable = 0, fatal, durable
    try:
        world.follow_once()
    except Crash:
        return True
    finally:
        Fragile.fatal = 0
    return False


def live(world):
    found = world.knowledge()
    return {**found, "omop_row": [row for row in found["omop_row"] if row[-1] == 1]}


BEGIN = [patient("a"), patient("b"), visit("e", of="a"), weight("w", of="a", encounter={"reference": "Encounter/e"}), weight("x", of="b")]
CHANGES = [
    weight("w", of="b", value=70, encounter={"reference": "Encounter/e"}),  # somebody else's after all: both periods change
    merged("a", "b"),
    visit("e", of="b", status="cancelled"),
    weight("new", of="b", effectiveDateTime="2027-01-01"),
]


@pytest.mark.conformance("OMOP", "a crash between the two databases, at every commit, heals when the event comes again")
@pytest.mark.parametrize("durable", [False, True], ids=["before-the-commit", "after-the-commit"])
@pytest.mark.parametrize("change", range(len(CHANGES)))
def test_a_crash_at_any_commit_heals(urls, tmp_path, change, durable):
    world = World(urls, tmp_path, wrap=Fragile)
    try:
        fatal, crashed = 0, True
        while crashed:
            fatal, prefix = fatal + 1, f"{fatal}-"
            for resource in [*BEGIN, *CHANGES[:change]]:
                world.put(resource, prefix)
            world.follow_once()
            world.put(CHANGES[change], prefix)
            crashed = crashes(world, fatal, durable)
            world.follow_once()
            healed, known = world.contents(), live(world)
            world.rebuild()
            assert world.contents() == healed, f"a crash at commit {fatal} left something behind"
            assert live(world) == known
        assert fatal > 2, "there were commits to crash at"
    finally:
        world.close()


def test_a_rebuild_that_only_the_lineage_saw_stops_the_following_until_it_is_repeated(urls, tmp_path):
    world = World(urls, tmp_path, wrap=Fragile)
    try:
        Fragile.fatal = 0
        for resource in BEGIN:
            world.put(resource)
        world.follow()
        world.put(weight("w", of="a", value=60))
        Fragile.commits, Fragile.fatal, Fragile.durable = 0, 2, False  # the lineage commits first, the CDM does not
        with pytest.raises(Crash):
            world.rebuild()
        Fragile.fatal = 0
        assert (1, 60.0, None) not in values(world)
        with pytest.raises(Interrupted):
            world.writer.follow([], lambda reference: None)
        with pytest.raises(Later):
            world.handle("Observation/w", 2)
        world.rebuild()
        assert sorted(row[1] for row in values(world)) == [60.0, 72.5]
        world.follow()
    finally:
        Fragile.fatal = 0
        world.close()
