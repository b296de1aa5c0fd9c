"""What is asked of the sandbox and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What one job may use; the sandbox lowers what is above the tier's."""

    # From the call on, waiting for a turn included.
    wall_s: float = 30.0
    cpu_s: float = 30.0
    # What the job may have beyond the libraries that it was started with.
    memory_bytes: int = 256 * MIB
    # The whole answer: values, arrays and blobs.
    output_bytes: int = 8 * MIB
    # The files in its folder together.
    disk_bytes: int = 32 * MIB


@dataclass(frozen=True, slots=True)
class Job:
    """A function to call in a confined child process."""

    # "mcp_server.jobs.signals:run": trusted code of ours, `run(task: Task) -> Result` (mcp_server.jobs.contract).
    entry: str
    # Plain JSON.
    arguments: dict[str, Any]
    # numpy arrays or array.array of float64, int64 or bool; the child can't write to them.
    arrays: Mapping[str, Any] = field(default_factory=dict)
    # Modules worth importing once, before jobs are forked: "numpy", "pandas", "bt".
    preload: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    # Nobody waits for it: it begins when no other job wants to.
    patient: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What the entry function gave back. Nothing in it is trusted: the child may have run anybody's code."""

    values: dict[str, Any]
    arrays: dict[str, np.ndarray]
    blobs: dict[str, bytes]
