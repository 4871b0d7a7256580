"""The browser that journeys share: skipped visibly where it cannot run, an error in CI."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.journeys.browser import BrowserUnavailableError, open_browser

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
