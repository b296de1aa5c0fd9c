"""Strategies that turn on the runner or answer with what harms who reads it.

Each attack runs as whoever runs the tests; where that is root, test_sandbox_users.py runs it again as an ordinary user.
"""

from __future__ import annotations

import types
from pathlib import Path

import numpy as np
import pytest

from mcp_server.errors import JobDied, OutOfMemory, OutputTooLarge
from mcp_server.sandbox import Answer, Limits, Sandbox
from mcp_server.sandbox.jobs import MIB
from mcp_server.tests.attacks import outcome

TO_ALL = "import os\nfor n in range(100):\n    try: os.write(n, {})\n    except OSError: pass"
IN_WIRE = "import sys\nwire = sys.modules['mcp_server.sandbox.wire']\n"
ALL_DICTS = "[each for each in gc.get_objects() if isinstance(each, dict) and each is not globals()]"

MEDDLING: list[tuple[str, type | types.UnionType]] = [
    ("import os\nos._exit(0)", JobDied),
    ("import os\nos._exit(77)", JobDied),
    ("import os\nos.abort()", JobDied),
    ("import os\nos.kill(os.getpid(), 9)", JobDied),
    ("import ctypes\nctypes.string_at(0)", JobDied),
    ("import sys\nsys.setrecursionlimit(10 ** 9)\nf = lambda: f()\nf()", JobDied | OutOfMemory),
    ("f = lambda: f()\nf()", JobDied),
    ("eval('(' * 10_000)", JobDied | OutOfMemory),
    ("import os\nos.closerange(0, 100)\nwhile True: pass", JobDied),
    (TO_ALL.format("b'x' * 1000"), JobDied),
    # The head of an answer of 4 GB.
    (TO_ALL.format("bytes([3]) + b'\\xff' * 12"), OutputTooLarge),
    ("import json\njson.dumps = lambda *a, **k: '{' * 100", JobDied),
    ("import os\nos.write = lambda *a: 1 / 0", JobDied),
    ("import os\nos._exit = lambda *a: None", Answer),
    ("import builtins\nbuiltins.memoryview = builtins.len = builtins.sum = None", JobDied),
    ("import sys\nfor name in list(sys.modules): del sys.modules[name]", JobDied | Answer),
    (f"{IN_WIRE}wire.encode = lambda *a, **k: [memoryview(b'junk' * 99)]", JobDied),
    (f"{IN_WIRE}wire.size = lambda *a: 0\nblobs['b'] = bytes(50_000_000)", OutputTooLarge),
    (f"import gc\nfor each in {ALL_DICTS}: each.clear()", JobDied | Answer),
    ("import sys\nsys.settrace(lambda *a: 1 / 0)", JobDied | Answer),
    ("import atexit\natexit.register(lambda: 1 / 0)", Answer),
]


@pytest.mark.parametrize(("text", "end"), MEDDLING)
def test_a_strategy_that_meddles_with_the_runner_harms_itself_only(
    sandbox: Sandbox, text: str, end: type | types.UnionType
) -> None:
    found = outcome(sandbox, text, limits=Limits(wall_s=60, memory_bytes=256 * MIB, output_bytes=MIB))

    assert isinstance(found, end), found


def test_a_result_of_fifty_megabytes_is_too_large(sandbox: Sandbox) -> None:
    roomy = Limits(memory_bytes=400 * MIB, output_bytes=8 * MIB)
    for text in (
        "values['x'] = 'y' * 50_000_000",
        "blobs['x'] = bytes(50_000_000)",
        "import numpy\narrays['x'] = numpy.zeros(50_000_000 // 8)",
        "values.update((str(n), 'x' * 1000) for n in range(3_000))",
    ):
        assert isinstance(outcome(sandbox, text, limits=roomy), OutputTooLarge)


def test_nothing_that_is_answered_is_run(sandbox: Sandbox, tmp_path: Path) -> None:
    """Pickles would run what `__reduce__` names; answers are JSON and raw numbers."""
    trick = (
        "import os\nclass Trick:\n    def __reduce__(self):\n"
        "        return os.system, ('touch ' + task.arguments['to'],)\n"
    )
    for text in (
        "values['x'] = Trick()",
        "import numpy\narrays['x'] = numpy.array([Trick()], dtype=object)",
        "import pickle\nblobs['x'] = pickle.dumps(Trick())",
        "class Sly(dict):\n    __reduce__ = Trick.__reduce__\nvalues = Sly(a=1)",
    ):
        found = outcome(sandbox, trick + text, arguments={"to": str(tmp_path / "touched")})
        assert isinstance(found, JobDied | Answer)
    assert not (tmp_path / "touched").exists()


def test_values_that_are_no_json_are_named(sandbox: Sandbox) -> None:
    for text in (
        "values['x'] = float('nan')",
        "values['x'] = values",
        "x = []\nfor n in range(100_000): x = [x]\nvalues['x'] = x",
        "values = None",
        "arrays['x'] = 5",
        "blobs['x'] = 'text'",
    ):
        assert isinstance(outcome(sandbox, text), JobDied)


def test_half_a_surrogate_pair_is_no_text(sandbox: Sandbox) -> None:
    assert isinstance(outcome(sandbox, "values['x'] = chr(0xD800)"), JobDied)
    assert isinstance(outcome(sandbox, "raise ValueError(chr(0xD800))"), JobDied)


def test_an_answer_that_is_forged_is_only_this_jobs(sandbox: Sandbox) -> None:
    """It can say what it likes about itself: it could as well have computed that."""
    forged = (
        "import os, sys\nwire = sys.modules['mcp_server.sandbox.wire']\n"
        "frame = b''.join(wire.encode(wire.ANSWER, {'values': {'forged': 1}, 'parts': []}))\n"
        "for n in range(3, 64):\n    try: os.write(n, frame)\n    except OSError: pass\nos._exit(0)"
    )

    found = outcome(sandbox, forged)

    assert isinstance(found, Answer)
    assert found.values == {"forged": 1}


def test_a_job_holds_no_descriptor_but_its_own(sandbox: Sandbox) -> None:
    text = (
        "import os, stat\nfor n in range(1024):\n    try: mode = os.fstat(n).st_mode\n    except OSError: continue\n"
        "    kind = next(k for k in ('FIFO', 'DIR', 'CHR', 'REG', 'SOCK') if getattr(stat, 'S_IS' + k)(mode))\n"
        "    values.setdefault(kind, []).append(n)"
    )

    found = outcome(sandbox, text)

    assert isinstance(found, Answer)
    # The request has been read and its pipe closed.
    assert found.values["CHR"] == [0, 1, 2]
    assert len(found.values["FIFO"]) == 1
    assert found.values.keys() <= {"CHR", "FIFO", "DIR"}


def test_jobs_do_not_see_each_other(sandbox: Sandbox) -> None:
    first = outcome(sandbox, "import math, numpy\nmath.pi = 3\nnumpy.float64 = None\nopen('left', 'w').write('x')")
    second = outcome(
        sandbox, "import math, numpy, os\nvalues.update(pi=math.pi, files=os.listdir(), kept=bool(numpy.float64))"
    )

    assert isinstance(first, Answer)
    assert isinstance(second, Answer)
    assert second.values == {"pi": np.pi, "files": [], "kept": True}
