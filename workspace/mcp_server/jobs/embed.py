"""Turns texts into vectors of length 1. The model is native code over other people's texts, so this runs confined."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from mcp_server.embeddings.models import load
from mcp_server.jobs.contract import Result, Task


def run(task: Task) -> Result:
    """Arguments `module`, and `passages` (texts) or `query` (a text). Gives the blob `vectors`, float32 row by row."""
    model = load(task.arguments["module"])
    asked = task.arguments.get("query")
    rows = model.passages(task.arguments["passages"]) if asked is None else [model.query(asked)]
    vectors = np.asarray([_plain(row) for row in rows], dtype="<f4")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0, lengths, 1)
    return Result({"count": len(unit)}, blobs={"vectors": unit.astype("<f4").tobytes()})


def _plain(row: Iterable[float]) -> list[float]:
    return [float(value) for value in row]
