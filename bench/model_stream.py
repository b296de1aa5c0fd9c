"""Print what one streamed answer of a model costs this process: CPU ms for an answer of 50 tokens, and where they go.

    python -m bench.model_stream [--answers 200] [--delay 20] [--at-once 16] [--bare] [--profile]

Drives the agent (LangChain's `create_agent`, no tools) against `stub_llm.py` in a process of its own, all tokens in a burst
and then with `--delay` ms between tokens. `--bare` asks the model alone, without the agent.
"""

import argparse
import asyncio
import cProfile
import json
import os
import pstats
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

STUB = Path(__file__).with_name("stub_llm.py")
TOKENS = 50
TEXT = "".join(f"tok{i} " for i in range(TOKENS))


def main() -> None:
    """Measure and print one JSON object a line; with --profile the twenty functions that took most."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--delay", type=float, default=20, help="ms between tokens of the paced round")
    parser.add_argument("--bare", action="store_true")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    with running_stub() as url:
        os.environ |= {"OPENAI_BASE_URL": f"{url}/v1", "DJANGO_SETTINGS_MODULE": "gateway.settings"}
        os.environ |= {"SECRET_KEY": "bench", "DEBUG": "true", "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none"}
        import django  # noqa: PLC0415 - its settings are read from the environment that is set above

        django.setup()
        import uvloop  # noqa: PLC0415

        uvloop.run(measured(options))


async def measured(options: argparse.Namespace) -> None:
    """All rounds."""
    from agents.model_pool import close_pool  # noqa: PLC0415 - after django.setup()

    try:
        await rounds(options)
    finally:
        await close_pool()


async def rounds(options: argparse.Namespace) -> None:
    """Each way in which the tokens may come."""
    await answers("stub", 20, options)
    for name, model in (("burst", "stub:write=burst"), ("each", "stub"), ("paced", f"stub:delay={options.delay}")):
        count = options.answers if name != "paced" else min(options.answers, 4 * options.at_once)
        profile = cProfile.Profile() if options.profile else None
        cpu, wall = time.process_time(), time.perf_counter()
        with profile or nullcontext():
            pieces = await answers(model, count, options)
        figures = {
            "round": name,
            "answers": count,
            "cpu_ms_per_answer": round((time.process_time() - cpu) * 1000 / count, 2),
            "pieces_per_answer": round(pieces / count, 1),
            "wall_s": round(time.perf_counter() - wall, 2),
        }
        print(json.dumps(figures), flush=True)
        if profile:
            pstats.Stats(profile).sort_stats("tottime").print_stats(20)


async def answers(model: str, count: int, options: argparse.Namespace) -> int:
    """Let the agent answer `count` times, some at once; how many pieces of text came."""
    gate = asyncio.Semaphore(options.at_once)

    async def one() -> int:
        async with gate:
            return await answer(model, bare=options.bare)

    return sum(await asyncio.gather(*(one() for _ in range(count))))


async def answer(model: str, *, bare: bool) -> int:
    """One answer, which must be whole; the number of pieces in which it came."""
    from langchain_core.messages import HumanMessage, SystemMessage  # noqa: PLC0415 - after django.setup()

    from agents.model_step import call_model  # noqa: PLC0415

    pieces: list[str] = []

    async def emit(event: Any) -> None:
        pieces.append(event if isinstance(event, str) else event.content)

    question = [HumanMessage("What is the RSI of SPX?")]
    system = SystemMessage("You are an assistant. " * 50)
    if bare:
        spoken = await call_model(await bound(model), [system, *question], on_text=emit)
        assert spoken.usage.output_tokens == TOKENS
    else:
        await agent_answer(model, [system, *question], emit=emit)
    assert "".join(pieces) == TEXT, pieces
    return len(pieces)


async def agent_answer(model: str, prompt: list[Any], *, emit: Any) -> None:
    """The same by the agent's loop."""
    from agents.agent_loop import Run, run_loop  # noqa: PLC0415 - after django.setup()
    from agents.catalogue import Model  # noqa: PLC0415
    from agents.harness_types import Unmetered  # noqa: PLC0415
    from agents.mcp.tools import ToolSet  # noqa: PLC0415
    from agents.tool_step import Toolbox  # noqa: PLC0415

    listed = Model(provider="openai", name=model, size="small")
    box = Toolbox(None, ToolSet((), digest="none"), emit)  # type: ignore[arg-type]  # no tool, no session
    run = Run(model=await bound(model), listed=listed, toolbox=box, system=prompt[0], meter=Unmetered())
    await run_loop(run, prompt[1:])
    assert run.usage.output_tokens == TOKENS


async def bound(model: str) -> Any:
    """The model as a turn has it."""
    from agents.catalogue import Model  # noqa: PLC0415 - after django.setup()
    from agents.mcp.tools import ToolSet  # noqa: PLC0415
    from agents.model_pool import model_pool  # noqa: PLC0415
    from agents.model_step import BoundModel  # noqa: PLC0415
    from agents.providers import switched_on  # noqa: PLC0415

    provider = switched_on()["openai"]
    endpoint = provider.endpoint()
    assert endpoint is not None
    built = await model_pool().get(provider, Model(provider="openai", name=model, size="small"), endpoint)
    return BoundModel(model_pool().with_tools(built, ToolSet((), digest="none")), provider.label)


@contextmanager
def running_stub() -> Iterator[str]:
    """The stub on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(STUB), "--port", str(port), "--tokens", str(TOKENS)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
