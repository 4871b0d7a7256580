"""Start the running parts as processes, wait until they answer, and end them."""

from __future__ import annotations

import ctypes
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import httpx

from chartloop.kernel.clock import monotonic_s
from chartloop.kernel.config import child_environment

STOP_S = 20.0
PR_SET_PDEATHSIG = 1


class PartFailed(Exception):
    """A part of the demo did not start or did not do what it was asked."""


@dataclass(slots=True)
class Parts:
    """The processes of one demo; on exit every one of them is ended, the last one first."""

    data: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        (self.data / "demo").mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for name in reversed(list(self.running)):
            self.stop(name)

    def start(self, name: str, arguments: list[str], environment: Mapping[str, str] | None = None, *, ready: str) -> None:
        """Run `python -m arguments…`; return when `ready`, a URL, answers 200.

        Raises:
            PartFailed: The process ended, or did not answer within a minute; the message names its log.
        """
        log = self.data / "demo" / f"{name}.log"
        with log.open("ab") as output:
            self.running[name] = _spawn(arguments, environment or {}, output)
        deadline = monotonic_s() + 60
        while monotonic_s() < deadline:
            if self.running[name].poll() is not None:
                break
            try:
                if httpx.get(ready, timeout=2, trust_env=False).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
        raise PartFailed(f"{name} did not come up; its log is {log}")

    def stop(self, name: str) -> int:
        """End one process politely, then firmly; return its exit status."""
        process = self.running.pop(name)
        if process.poll() is None:
            process.terminate()
        try:
            return process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def _spawn(arguments: list[str], environment: Mapping[str, str], output: IO[bytes]) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C reaches the demo, and the demo ends its parts in order.
    return subprocess.Popen(  # noqa: S603 our own interpreter and modules
        [sys.executable, "-m", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=child_environment(environment),
        start_new_session=True,
        preexec_fn=_end_with_parent,  # noqa: PLW1509 one system call, before any thread of ours exists in the child
    )


def _end_with_parent() -> None:
    """Ask the system to end a part when the demo is killed: nobody else would."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def command(arguments: list[str], environment: Mapping[str, str] | None = None, *, timeout_s: float = 120) -> str:
    """Run one `chartloop` command to its end and return what it printed.

    Raises:
        PartFailed: It did not exit 0; the message is its last line on standard error.
    """
    process = subprocess.run(  # noqa: S603 our own interpreter and module
        [sys.executable, "-m", "chartloop", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=child_environment(environment or {}),
        timeout=timeout_s,
        check=False,
    )
    if process.returncode != 0:
        last = (process.stderr.strip() or process.stdout.strip() or "no output").splitlines()[-1]
        raise PartFailed(f"chartloop {arguments[0]} ended with {process.returncode}: {last}")
    return process.stdout


def free_port(preferred: int) -> int:
    """The preferred port when it is free on 127.0.0.1, else any free one."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise PartFailed("no free port on 127.0.0.1")


def write_json(path: Path, value: object) -> None:
    """Write a file in one step: a reader sees the old or the new one."""
    draft = path.with_name(path.name + ".draft")
    draft.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    draft.replace(path)
