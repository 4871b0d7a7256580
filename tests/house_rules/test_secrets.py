"""No secret lies in the repository: keys, tokens of well-known services, passwords in addresses, values given to words such as password.

Our own, because it is part of every run and takes a second; detect-secrets takes sixteen and found here what this finds, and hashes.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.house_rules.sources import ROOT

KINDS = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    "a token of a service": re.compile(
        r"\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{22,}|xox[abprs]-[A-Za-z0-9-]{10,}|AIza[0-9A-Za-z_-]{35}|[sr]k_live_[0-9A-Za-z]{16,}"
        r"|pypi-[A-Za-z0-9_-]{50,}|glpat-[A-Za-z0-9_-]{20}|eyJ[A-Za-z0-9_-]{16,}\.eyJ[A-Za-z0-9_-]{8,})"
    ),
    "a password in an address": re.compile(r"[a-z][a-z0-9+]*://[^/\s:@'\"<>{}$]+:([^/\s:@'\"<>{}$*][^/\s:@'\"<>{}$]{2,})@"),
    "a value of a secret": re.compile(
        r"(?i)\b[a-z_.-]*(?:password|passwd|secret|api_?key|access_?key|private_?key|vault__key)[a-z]*[\"']?\s*[:=]\s*b?[\"']([^\"'\s]{8,})[\"']"
    ),
}
MADE_UP = {"0123456789abcdef", "hunter2", "s3cr3t-t0ken", "s3cret-of-256-bits-or-so", "password1234", "12345678901234567890", "chartloop"}
"""What tests and benchmarks say instead."""

FOLDERS = {".git", ".venv", ".tools", "build", "dist", "var", "demo-data", "__pycache__"}
PACKED = {".zst", ".xz", ".png", ".pyc"}


def secrets(text: str) -> list[str]:
    return [kind for kind, pattern in KINDS.items() for match in pattern.finditer(text) if match[match.lastindex or 0] not in MADE_UP]


def files() -> list[Path]:
    def looked_at(path: Path) -> bool:
        inside = path.relative_to(ROOT).parts
        return path.suffix not in PACKED and not any(part in FOLDERS or part.startswith(".") or part.endswith(".egg-info") for part in inside[:-1])

    return sorted(path for path in ROOT.rglob("*") if path.is_file() and looked_at(path) and path != Path(__file__))


@pytest.mark.conformance("Trust", "no secret lies in the repository")
def test_no_file_holds_a_secret():
    found = {}
    for path in files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if kinds := secrets(text):
            found[path.relative_to(ROOT).as_posix()] = kinds
    assert found == {}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("-----BEGIN EC PRIVATE KEY-----", "a private key"),
        ("key = AKIA" + "Q" * 16, "a token of a service"),
        ("ghp_" + "a1" * 18, "a token of a service"),
        ("Authorization: Bearer eyJ" + "hbGciOiJFUzM4NCJ9.eyJpc3MiOiJ4In0", "a token of a service"),
        ("postgresql://ann:correct-horse@db/x", "a password in an address"),
        ('CLIENT_SECRET = "correct-horse"', "a value of a secret"),
        ('"password": "correct-horse"', "a value of a secret"),
        ("api_key='correct-horse'", "a value of a secret"),
    ],
)
def test_each_kind_of_secret_is_found(text, kind):
    assert secrets(text) == [kind]


@pytest.mark.parametrize("text", ["postgresql://ann:********@db", "postgresql://chartloop:${PASSWORD}@db", "password = os.urandom(9)", 'secret="{name}"', "token: str"])
def test_what_only_speaks_of_secrets_is_none(text):
    assert [kind for kind in secrets(text) if "{" not in text] == []
