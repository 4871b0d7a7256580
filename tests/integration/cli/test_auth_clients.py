"""`chartloop auth clients` and `auth keys`: a registration from its first to its last day."""

import json
from pathlib import Path

import pytest

from chartloop.cli.main import run
from smart_apps.opaque import digest


def said(capsys: pytest.CaptureFixture[str], data: Path, *words: str, status: int = 0) -> str:
    """Run one command and give what it printed."""
    assert run(["auth", *words, "--data", str(data)]) == status
    printed = capsys.readouterr()
    return printed.out if status == 0 else printed.err


@pytest.mark.long
def test_a_client_is_added_shown_changed_given_a_new_secret_and_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = ["clients", "add", "app", "--name", "App", "--kind", "symmetric", "--redirect-uri", "https://app.example/cb", "--scope", "openid patient/*.rs", "--origin", "https://app.example"]
    secret = said(capsys, tmp_path, *new).split("secret: ")[1].strip()
    assert len(secret) == 43
    assert "There is a client of this id" in said(capsys, tmp_path, *new, status=1)
    shown = said(capsys, tmp_path, "clients", "show", "app")
    assert secret not in shown
    assert digest(secret).hex() not in shown
    assert json.loads(shown) | {"kind": "symmetric", "has_secret": True, "grants": ["authorization_code", "refresh_token"]} == json.loads(shown)
    second = said(capsys, tmp_path, "clients", "rotate-secret", "app").split("secret: ")[1].strip()
    assert second != secret
    said(capsys, tmp_path, "clients", "change", "app", "--scope", "openid", "--test", "--simulate", "expired-token")
    (listed,) = json.loads(said(capsys, tmp_path, "clients", "list", "--json"))
    assert (listed["scope"], listed["test"], listed["simulate"], listed["name"]) == ("openid", True, "expired-token", "App")
    assert "cannot be enforced" in said(capsys, tmp_path, "clients", "change", "app", "--scope", "patient/Observation.rs?date=gt2020", status=1)
    said(capsys, tmp_path, "clients", "remove", "app")
    assert "no client of this id" in said(capsys, tmp_path, "clients", "show", "app", status=1)


@pytest.mark.long
def test_a_backend_service_needs_a_role_that_there_is_and_a_public_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    service = ["clients", "add", "service", "--name", "Service", "--kind", "asymmetric", "--jwks-uri", "https://service.example/jwks", "--scope", "system/Patient.rs"]
    assert "no such role" in said(capsys, tmp_path, *service, "--role", "made-up", status=1)
    said(capsys, tmp_path, *service, "--role", "omop-bridge")
    assert "client_credentials" in said(capsys, tmp_path, "clients", "show", "service")
    private = tmp_path / "private.json"
    private.write_text('{"keys": [{"kty": "RSA", "d": "x", "kid": "1"}]}')
    assert "public ones alone" in said(capsys, tmp_path, *service[:2], "other", "--name", "x", "--kind", "asymmetric", "--jwks", str(private), "--role", "omop-bridge", status=1)


def test_keys_are_listed_and_rotated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(json.loads(said(capsys, tmp_path, "keys", "list", "--json"))) == 1
    said(capsys, tmp_path, "keys", "rotate")
    newest, oldest = json.loads(said(capsys, tmp_path, "keys", "list", "--json"))
    assert (newest["signs"], newest["published"], oldest["signs"], oldest["published"]) == (True, True, False, True)
    assert not set(newest["kids"]) & set(oldest["kids"])
