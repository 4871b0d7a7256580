"""What the random searches cost, shared out between the short run and the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

IN_THE_SHORT_RUN = "test_search_equals_brute_force"
SLOW = ("test_chains_equal_brute_force", "test_filters_equal_brute_force")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave PostgreSQL to the long run but for the plain searches: each of the others takes seconds."""
    for item in items:
        if item.path.parent != Path(__file__).parent:
            continue
        if item.path.stem in SLOW or ("postgresql" in item.nodeid and item.path.stem != IN_THE_SHORT_RUN):
            item.add_marker(pytest.mark.long)
