"""What journeys share: the browser, skipped visibly where it cannot run, an error in CI; and a server for client libraries."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.journeys.browser import BrowserUnavailableError, open_browser
from tests.journeys.client_world import ClientWorld, client_world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Give one Chromium for the whole run."""
    try:
        with open_browser() as running:
            yield running
    except BrowserUnavailableError as error:
        if os.environ.get("CI"):
            pytest.fail(f"CI needs the browser: {error}")
        pytest.skip(f"no browser: {error}")


@pytest.fixture(scope="module")
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClientWorld]:
    """Give one server with a chart, people and the APPS of a module."""
    with client_world(tmp_path_factory.mktemp("clients"), request.module.APPS) as world:
        yield world
