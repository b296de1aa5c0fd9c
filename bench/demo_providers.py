"""Show one conversation, with a tool call, through the wire formats of all four providers, and the one-line switch between them.

    python -m bench.demo_providers

The models are doubles on loopback that speak each vendor's real format; the workspace, its tools and its data are real. It
prints what is said and ends with 1 when something is not as it should be.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

QUESTIONS = ("RSI of SPX over the last 252 bars?", "Is that high or low?")
ARGUMENTS = '{"symbol": "SPX", "indicators": [{"name": "RSI"}], "limit": 252}'
SAID = ("Let me look. ", "The RSI stands in the last row above.", "It is neither: between 30 and 70.")


def main() -> None:
    """Run the conversation with each provider in turn."""
    os.environ |= {"DJANGO_SETTINGS_MODULE": "gateway.settings", "SECRET_KEY": "demo", "DEBUG": "true"}
    os.environ["DATABASE_URL"] = "postgres://nobody@127.0.0.1:1/none"
    for name in ("ANTHROPIC", "GOOGLE", "OPENAI", "OPENROUTER"):
        for kind in ("API_KEY", "BASE_URL"):
            os.environ[f"{name}_{kind}"] = ""
    import django  # noqa: PLC0415 - its settings are read from the environment that is set above

    django.setup()
    with tempfile.TemporaryDirectory() as folder:
        problems = asyncio.run(all_providers(Path(folder)))
    for problem in problems:
        print(f"NOT AS IT SHOULD BE: {problem}")
    print("Something is off." if problems else "All four said the same.")
    sys.exit(1 if problems else 0)


async def all_providers(folder: Path) -> list[str]:
    """The conversation with each; what was not as it should be."""
    from django.conf import settings  # noqa: PLC0415 - after django.setup()

    from agents import harness  # noqa: PLC0415
    from agents.model_pool import warm_up  # noqa: PLC0415
    from agents.tests.doubles.http_server import scripted_server  # noqa: PLC0415
    from agents.tests.doubles.workspace import running_workspace  # noqa: PLC0415
    from provisioning.tokens import public_key_file  # noqa: PLC0415

    settings.DATA_DIR = folder
    settings.WORKSPACE_SIGNING_KEY = new_key()
    problems: list[str] = []
    async with AsyncExitStack() as stack:
        for vendor in VENDORS:
            vendor.server = await stack.enter_async_context(scripted_server(*vendor.script()))
            setattr(settings, f"{vendor.name.upper()}_BASE_URL", vendor.server.url + vendor.path)
        url = stack.enter_context(running_workspace(folder, user="demo-pro", public_key=public_key_file()))
        settings.MCP_SERVER_URL_ALLOWLIST = [url]
        print("Importing the vendors' packages …", flush=True)
        await warm_up()
        for vendor in VENDORS:
            print(f"\n=== {vendor.format}\n    DEFAULT_MODEL_PROVIDER={vendor.name}\n")
            settings.DEFAULT_MODEL_PROVIDER = vendor.name
            problems += await Conversation(vendor, f"{url}/mcp").run()
        await harness.close()
    return problems


@dataclass
class Vendor:
    """A provider, its wire format in words, and its double."""

    name: str
    format: str
    path: str = ""
    server: Any = None

    def script(self) -> Iterator[Any]:
        """What its double says: a tool call, an answer to its result, an answer to the second question."""
        from agents.tests.doubles.http_server import sse  # noqa: PLC0415 - after django.setup()
        from agents.tests.doubles.vendors import Spoken, events  # noqa: PLC0415

        call = Spoken(text=(SAID[0],), tool="workspace__compute_indicators", arguments=(ARGUMENTS[:20], ARGUMENTS[20:]))
        yield sse(*events(self.name, call))
        for words in SAID[1:]:
            yield sse(*events(self.name, Spoken(text=(words[:5], words[5:]))))


VENDORS = (
    Vendor("anthropic", "Anthropic: Messages"),
    Vendor("google", "Google: streamGenerateContent"),
    Vendor("openai", "OpenAI: chat completions", "/v1"),
    Vendor("openrouter", "OpenRouter: chat completions of its own kind", "/v1"),
)


@dataclass
class Conversation:
    """Two questions to one provider; `problems` gather."""

    vendor: Vendor
    workspace: str
    problems: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)

    async def run(self) -> list[str]:
        """Ask both; what was not as it should be."""
        answers = [await self.ask(question) for question in QUESTIONS]
        self.expect("the first answer", answers[0].content, f"{SAID[0]}\n\n{SAID[1]}")
        self.expect("the second answer", answers[1].content, SAID[2])
        self.expect("the model's provider", answers[0].model.partition("/")[0], self.vendor.name)
        self.expect("the tool calls", self.kinds.count("tool_result"), 1)
        counted = answers[0].usage
        self.expect("the tokens", (counted.input_tokens, counted.cached_tokens, counted.output_tokens), (200, 120, 10))
        self.expect("the requests", len(self.vendor.server.asked), 3)
        self.expect("the memory of the talk", SAID[1] in str(self.vendor.server.asked[2].body), True)
        self.problems += ["a tool failed"] * self.kinds.count("tool_failed")
        return self.problems

    async def ask(self, question: str) -> Any:
        """Ask a question, print what happens, and store the turn, as the engine does."""
        from agents import harness  # noqa: PLC0415 - after django.setup()
        from agents.harness_types import Answer, TurnRequest  # noqa: PLC0415
        from agents.history import append_turn  # noqa: PLC0415
        from agents.tests.licences import licence  # noqa: PLC0415

        allowed = licence("demo-pro", url=self.workspace)
        talk, turn = self.vendor.name, f"{self.vendor.name}-{question[:2]}"
        print(f"    you    {question}")
        began = time.perf_counter()
        answer = await harness.run_agent(
            TurnRequest(
                turn=turn, conversation=talk, user_id="demo-pro", channel="web", content=question, licence=allowed
            ),
            self.show,
        )
        if not isinstance(answer, Answer):
            raise TypeError("Nothing here asks its user.")
        await append_turn(allowed, talk, turn, answer.messages)
        used, ms = answer.usage, (time.perf_counter() - began) * 1000
        print(f"    agent  {answer.content.replace(chr(10) * 2, chr(10) + ' ' * 11)}")
        cost = "price unknown" if used.cost_usd is None else f"${used.cost_usd:.6f}"
        print(
            f"           [{used.input_tokens} tokens in, {used.cached_tokens} of them cached, {used.output_tokens} out; "
            f"{cost}; {ms:.0f} ms]"
        )
        return answer

    async def show(self, event: Any) -> None:
        """Print an event of the turn, but for its text."""
        self.kinds.append(event.type)
        if event.type == "started":
            print(f"           model {event.model}: {event.reason}")
        elif event.type == "tool_call":
            print(f"    tool   {event.tool} {event.arguments}")
        elif event.type == "tool_result":
            print(f"           {event.summary}")
            self.kinds += ["tool_failed"] if event.error else []

    def expect(self, what: str, found: object, expected: object) -> None:
        """Note when something is not as it should be."""
        if found != expected:
            self.problems.append(f"{self.vendor.name}: {what}: {found!r} instead of {expected!r}")


def new_key() -> str:
    """A signing key for the workspace's tokens."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat  # noqa: PLC0415

    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem.decode("ascii")


if __name__ == "__main__":
    main()
