"""The trained coder model as one file: memory, trees, calibration line and thresholds; plain arrays, nothing executable."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from predictions.coder_memory import Memory
from predictions.coder_trees import Trees

SHIPPED = Path(__file__).with_name("coder_model.zst")
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Card:
    """What a model says of itself."""

    trained_on: str
    charts: int
    icd_release: str
    seed: int
    slope: float
    intercept: float
    threshold: float


@dataclass(frozen=True, slots=True)
class CoderModel:
    """A memory, a ranker and how to read its scores."""

    memory: Memory
    trees: Trees
    card: Card
    hash: str = ""

    @property
    def version(self) -> str:
        """Short, stable name of exactly these bytes."""
        return f"icd10cm-{self.card.trained_on}-{self.hash[:12]}"

    def probability(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the calibrated probability of each candidate row."""
        return np.asarray(1 / (1 + np.exp(-(self.card.slope * self.trees.raw(rows) + self.card.intercept))))


def save_model(model: CoderModel, path: Path) -> CoderModel:
    """Write the model; the same model gives the same bytes."""
    arrays: dict[str, Any] = {}
    for prefix, part in (("memory", model.memory), ("trees", model.trees)):
        for field in fields(part):
            value = getattr(part, field.name)
            if isinstance(value, np.ndarray):
                small = value.astype(np.float16) if field.name in {"dual", "pair_strength", "pair_weight", "chart_weight", "idf"} else value
                arrays[f"{prefix}.{field.name}"] = small.astype(np.uint8) if field.name == "labels" else small
    header = {"format": FORMAT, "card": asdict(model.card), "depth": model.trees.depth, "grams": list(model.memory.grams), "codes": model.memory.codes}
    arrays["header"] = np.frombuffer(json.dumps(header, ensure_ascii=False, sort_keys=True).encode(), dtype=np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(zstandard.ZstdCompressor(level=19).compress(buffer.getvalue()))
    return load_model(path)


def load_model(path: Path = SHIPPED) -> CoderModel:
    """Read a model file; its hash is the SHA-256 of its bytes."""
    stored = path.read_bytes()
    arrays = np.load(io.BytesIO(zstandard.ZstdDecompressor().decompress(stored)), allow_pickle=False)
    header = json.loads(arrays["header"].tobytes())
    if header["format"] != FORMAT:
        msg = f"{path} is a coder model of format {header['format']}; this release reads format {FORMAT}: train it again"
        raise ValueError(msg)

    def part(prefix: str, name: str) -> NDArray[Any]:
        value = arrays[f"{prefix}.{name}"]
        return np.asarray(value.astype(np.float32) if value.dtype == np.float16 or name == "labels" else value)

    texts = {"grams", "codes"}
    memory = Memory(
        grams={g: n for n, g in enumerate(header["grams"])},
        codes=header["codes"],
        **{f.name: part("memory", f.name) for f in fields(Memory) if f.name not in texts},
    )
    trees = Trees(depth=header["depth"], **{f.name: part("trees", f.name) for f in fields(Trees) if f.name != "depth"})
    return CoderModel(memory, trees, Card(**header["card"]), hashlib.sha256(stored).hexdigest())
