"""Import LightGBM; where libgomp.so.1 is missing, take the copy that the scikit-learn wheel carries.

See docs/adr/0010-score-trees-without-lightgbm.md.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import re
import tempfile
from pathlib import Path
from types import ModuleType

from chartloop.kernel.errors import Unavailable

WANTED = b"libgomp.so.1"
NOT_INSTALLED = "LightGBM is not installed: install the extra `train`."
NO_LIBGOMP = "LightGBM needs libgomp.so.1: install the PyPI package scikit-learn (its wheel carries it) or the system's libgomp1."


def load_lightgbm() -> ModuleType:
    """Return the lightgbm module.

    Raises:
        Unavailable: It cannot be had; one sentence says what to install.
    """
    try:
        return importlib.import_module("lightgbm")
    except ModuleNotFoundError:
        raise Unavailable(NOT_INSTALLED) from None
    except OSError as error:
        if "libgomp" not in str(error):
            raise
    bundled = bundled_libgomp()
    if bundled is None:
        raise Unavailable(NO_LIBGOMP)
    preload(bundled)
    return importlib.import_module("lightgbm")


def bundled_libgomp() -> Path | None:
    """Find the libgomp inside an installed scikit-learn wheel."""
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        return None
    return next(iter(sorted((Path(spec.origin).parent.parent / "scikit_learn.libs").glob("libgomp-*.so*"))), None)


def preload(library: Path) -> None:
    """Load the library under the name LightGBM asks for.

    The wheel tools renamed its SONAME ("libgomp-a34b3233.so.1.0.0"); the loader matches by SONAME, so a copy with the old, shorter
    name in place is loaded first. The copy is removed at once: the mapping stays.
    """
    content = re.sub(rb"libgomp-[0-9a-f]+\.so\.1[0-9.]*\x00", lambda m: WANTED + b"\x00" * (len(m.group()) - len(WANTED)), library.read_bytes())
    with tempfile.NamedTemporaryFile(suffix=".so") as copy:
        copy.write(content)
        copy.flush()
        ctypes.CDLL(copy.name, mode=ctypes.RTLD_GLOBAL)
