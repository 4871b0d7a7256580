"""One evaluation: what it knows of the world, how many steps are left, and where in the input it stands.

Spec: https://hl7.org/fhir/R4/fhirpath.html#variables
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from chartloop.kernel import clock
from fhir_server.fhirpath.errors import TooCostly
from fhir_server.fhirpath.parts import Part
from fhir_server.fhirpath.temporal import Temporal, read_temporal

MAX_STEPS: Final = 300_000
Collection = list[Any]
Resolve = Callable[[str, "Run"], Part | None]
MemberOf = Callable[[Part, str], bool | None]


@dataclass(frozen=True, slots=True)
class World:
    """What an expression may ask beside its input; without an answer it is Unanswerable."""

    resolve: Resolve | None = None
    """The resource that a reference's text names; none where it is not known."""
    member_of: MemberOf | None = None
    """Whether a coded part is in a value set; none where that is not known."""
    variables: Mapping[str, Any] = field(default_factory=dict)
    max_steps: int = MAX_STEPS


class Budget:
    """Steps that one or several evaluations may take together."""

    __slots__ = ("left",)

    def __init__(self, steps: int = MAX_STEPS) -> None:
        """Take the number of steps."""
        self.left = steps


class Run:
    """One evaluation of one expression."""

    __dict__: dict[str, Any]

    def __init__(self, world: World, context: Part, resource: Part, root: Part, budget: Budget | None = None) -> None:
        """Take the world, the part that is looked at (%context), the resource it is in, the one that contains that, and the steps there are."""
        self.world = world
        self.context = context
        self.resource = resource
        self.root = root
        self.undecided = False
        """Whether a comparison had no answer, because a date is too coarse or units do not compare."""
        self.unresolved = False
        """Whether a reference was not resolved."""
        self.fixed: dict[object, Collection] = {}
        """What paths from %context, %resource and %rootResource found."""
        self._budget = budget or Budget(world.max_steps)

    def spend(self, steps: int) -> None:
        """Take steps from those that are left.

        Raises:
            TooCostly: None are left.
        """
        self._budget.left -= steps
        if self._budget.left < 0:
            raise TooCostly("the expression takes too many steps")

    @cached_property
    def now(self) -> Temporal | None:
        """The moment of this evaluation: one for all of it."""
        return read_temporal(clock.iso(clock.now_us()), "instant")


class Scope:
    """Where in the input a part of the expression stands: $this, $index, $total."""

    __slots__ = ("index", "run", "this", "total")

    def __init__(self, run: Run, this: Collection, index: int = 0, total: Collection | None = None) -> None:
        """Take the run and the three."""
        self.run = run
        self.this = this
        self.index = index
        self.total = total

    def each(self, items: Collection) -> Iterator[Scope]:
        """The scopes of a function that looks at every item on its own."""
        for index, item in enumerate(items):
            self.run.spend(1)
            yield Scope(self.run, [item], index, self.total)


Evaluate = Callable[[Scope], Collection]
