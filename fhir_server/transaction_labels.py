"""Labels of what a transaction writes: of what is stored, and of what is being stored beside it.

Spec: https://hl7.org/fhir/R4/security-labels.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from chartloop.kernel.db import Session
from fhir_server.rows import labels_by_reference
from fhir_server.store import Store


class BundleLabels:
    """Labels of resources of one bundle; those of stored ones are looked up together."""

    def __init__(self, store: Store, session: Session, written: Mapping[str, Mapping[str, Any]], fresh: AbstractSet[str]) -> None:
        """Look up what is stored.

        Args:
            store: The store.
            session: Where labels are read.
            written: Parsed resources by reference.
            fresh: References of ids made just now: nothing is stored there.
        """
        self._labeller = store.labeller
        self._base = store.base + "/"
        self._written = written
        self._known: dict[str, frozenset[str]] = {}
        self._stored = labels_by_reference(session, {self._place(each) for each in self._asked()} - fresh)

    def label(self, type_: str, resource: Mapping[str, Any]) -> frozenset[str]:
        """Labels of a resource of the bundle."""
        return self._of(f"{type_}/{resource['id']}")

    def _asked(self) -> Iterator[str]:
        for reference, resource in self._written.items():
            yield reference
            yield from self._labeller.inherited_references(reference.partition("/")[0], resource)

    def _place(self, reference: str) -> str:
        """The resource ("Type/id") that a reference means, whichever version it names."""
        return "/".join(reference.removeprefix(self._base).split("/", 2)[:2])

    def _of(self, reference: str) -> frozenset[str]:
        """Labels of one resource; a circle of references ends where it began."""
        reference = self._place(reference)
        if reference not in self._known:
            self._known[reference] = frozenset()
            found = self._stored.get(reference, frozenset())
            resource = self._written.get(reference)
            if resource is not None:
                found |= self._labeller.labels(reference.partition("/")[0], resource, self._of)
            self._known[reference] = found
        return self._known[reference]
