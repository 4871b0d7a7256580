"""Training examples: an append-only file of JSON Lines with what coders decided, and nothing about what nobody reviewed.

A line names its note by a keyed HMAC; claims.coding.resolver finds the note again for those whom the policy lets read it.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from claims.coding.review import Decision, Review
from claims.coding.task import task_offered

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Example:
    """One decision; `review_state` says what a trainer may conclude from it."""

    id: str
    note: str
    note_version: int
    start: int
    end: int
    suggested_code: str
    final_code: str
    decision: str
    review_state: str
    chart_complete: bool
    model: str
    reason: str
    time: str
    format: int = FORMAT


def note_key(secret: bytes, note: str) -> str:
    """Name a note so that only who has the secret and may read notes can tell which it is."""
    return hmac.new(secret, f"training-note|{note}".encode(), hashlib.sha256).hexdigest()


def review_to_examples(
    task: Mapping[str, Any], review: Review, versions: Mapping[str, int], secret: bytes, *, excluded: frozenset[str], time: str
) -> list[Example]:
    """Write the decisions of a Task as examples.

    Args:
        task: The completed Task.
        review: Its decisions.
        versions: Notes of the Task with the version read.
        secret: Key of the notes' names.
        excluded: Notes that may not become training data.
        time: When the Task was completed.

    Returns:
        One example per decision. A suggestion without a decision is listed as "unreviewed": unlabelled, never negative, even in a complete chart.
    """
    decided = {d.offered.id for d in review.decisions if d.offered}
    found = [_decided(task, d, versions, secret, complete=review.chart_complete, time=time) for d in review.decisions if d.note not in excluded]
    for o in task_offered(task):
        if o.id not in decided and o.note not in excluded:
            id_ = _example_id(task, o.id, "none", "")
            found.append(
                Example(
                    id_,
                    note_key(secret, o.note),
                    versions.get(o.note, 0),
                    o.start,
                    o.end,
                    o.code,
                    "",
                    "none",
                    "unreviewed",
                    review.chart_complete,
                    o.model,
                    "",
                    time,
                )
            )
    return found


def _decided(task: Mapping[str, Any], d: Decision, versions: Mapping[str, int], secret: bytes, *, complete: bool, time: str) -> Example:
    suggested = d.offered.code if d.offered else ""
    final = "" if d.kind == "reject" else d.code
    id_ = _example_id(task, d.offered.id if d.offered else f"add {d.note} {d.start}", d.kind, final)
    model = d.offered.model if d.offered else ""
    return Example(
        id_, note_key(secret, d.note), versions.get(d.note, 0), d.start, d.end, suggested, final, d.kind, "reviewed", complete, model, d.reason, time
    )


def _example_id(task: Mapping[str, Any], about: str, kind: str, final: str) -> str:
    return hashlib.sha256(f"{task.get('id', '')}|{about}|{kind}|{final}".encode()).hexdigest()[:32]


class ExampleLedger:
    """The file; appending what it holds already changes nothing, a torn last line is dropped, a returned append is on disk."""

    def __init__(self, path: Path) -> None:
        """Remember where; nothing is read or made before the first append."""
        self._path = path
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._read_to = 0

    def append(self, examples: Iterable[Example]) -> int:
        """Append the examples that are not there yet; return how many."""
        with self._lock:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                return self._append(handle, examples)
            finally:
                os.close(handle)

    def _append(self, handle: int, examples: Iterable[Example]) -> int:
        self._catch_up(handle)
        fresh = {e.id: e for e in examples if e.id not in self._known}
        if not fresh:
            return 0
        lines = "".join(json.dumps(asdict(e), ensure_ascii=False, sort_keys=True) + "\n" for e in fresh.values()).encode()
        os.lseek(handle, self._read_to, os.SEEK_SET)
        view = memoryview(lines)
        while view:
            view = view[os.write(handle, view) :]
        os.fsync(handle)
        self._read_to += len(lines)
        self._known |= fresh.keys()
        return len(fresh)

    def _catch_up(self, handle: int) -> None:
        """Learn what other processes appended; drop a line that a crash cut off."""
        size = os.fstat(handle).st_size
        if size < self._read_to:
            self._known.clear()
            self._read_to = 0
        tail = os.pread(handle, size - self._read_to, self._read_to)
        whole = tail[: tail.rfind(b"\n") + 1]
        self._known |= {json.loads(line)["id"] for line in whole.splitlines() if line.strip()}
        self._read_to += len(whole)
        if len(whole) < len(tail):
            os.ftruncate(handle, self._read_to)


def read_examples(path: Path) -> list[dict[str, Any]]:
    """Read every whole line of a ledger."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1] if line.strip()]
