"""The samples that travel beside the repository."""

import tarfile
from pathlib import Path

import pytest


@pytest.fixture
def cds_samples(corpus: Path) -> dict[str, str]:
    """Text of every JSON sample of the specification and of the CRD test kit, by its name."""
    archive = corpus / "cds" / "cds-hooks-smart-samples.tar.xz"
    if not archive.is_file():
        pytest.skip(f"no sample files: {archive.name} is absent")
    found = {}
    with tarfile.open(archive) as samples:
        for member in samples:
            if member.name.endswith(".json") and member.name.removeprefix("./").startswith(("spec/", "crd_test_kit/")):
                content = samples.extractfile(member)
                assert content is not None
                found[member.name.removeprefix("./")] = content.read().decode()
    return found
