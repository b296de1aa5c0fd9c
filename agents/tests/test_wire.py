"""What the vendors' packages are given of a stream says the same as the stream, however the network cut it.

The packages themselves, on their own HTTP clients and the untouched stream, say what it says.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from functools import cache
from itertools import pairwise
from typing import Any

import httpx
import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.ai import add_ai_message_chunks

from agents.catalogue import Model
from agents.providers import ApiEndpoint, providers
from agents.providers._wire.joins import Join, join_anthropic, join_google, join_openai
from agents.providers._wire.pacing import Pace
from agents.providers._wire.session import Session
from agents.providers._wire.sse import Coalescer, EventTooLarge
from agents.tests.doubles.http_server import Reply, scripted_server, sse
from agents.tests.doubles.vendors import Spoken, events

JOINS: dict[str, Join] = {
    "anthropic": join_anthropic,
    "google": join_google,
    "openai": join_openai,
    "openrouter": join_openai,
}
QUESTION = "RSI of SPX?"

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
pieces = st.lists(texts, max_size=12).map(tuple)
arguments = st.lists(st.sampled_from(['{"a": 1', ', "b": "', "ö", '"}', "{}", "x"]), max_size=4).map(tuple)


@cache
def package(vendor: str) -> tuple[BaseChatModel, list[bytes]]:
    """The vendor's package as it is, and the list whose last item is what its HTTP client answers."""
    bodies: list[bytes] = []

    def answer(_request: Any) -> Any:
        return library.Response(200, content=bodies[-1], headers={"content-type": "text/event-stream"})

    library: Any = httpx if vendor == "openrouter" else httpx2
    client = library.AsyncClient(transport=library.MockTransport(answer))
    return PACKAGES[vendor](client), bodies


def heard(vendor: str, body: bytes) -> AsyncIterator[Any]:
    """What the vendor's package makes of a body."""
    chat, bodies = package(vendor)
    bodies.append(body)
    return chat.astream(QUESTION)


def _openai(client: Any) -> BaseChatModel:
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(
        model="m",
        api_key="k",
        base_url="http://x/v1",
        http_async_client=client,
        stream_usage=True,
        use_responses_api=False,
    )


def _openrouter(client: Any) -> BaseChatModel:
    import openrouter
    from langchain_openrouter import ChatOpenRouter

    sdk = openrouter.OpenRouter(api_key="k", server_url="http://x/v1", async_client=client)
    return ChatOpenRouter(model_name="m", api_key="k", client=sdk, stream_usage=True)


def _anthropic(client: Any) -> BaseChatModel:
    import anthropic
    from langchain_anthropic import ChatAnthropic

    chat = ChatAnthropic(model="m", api_key="k", stream_usage=True)
    chat.__dict__["_async_client"] = anthropic.AsyncAnthropic(api_key="k", base_url="http://x", http_client=client)
    # With a tool its content comes as blocks, as it does to the gateway.
    return chat.bind_tools([{"name": "t", "description": "t", "input_schema": {"type": "object"}}])  # type: ignore[return-value]


def _google(client: Any) -> BaseChatModel:
    from google.genai import Client
    from google.genai.types import HttpOptions
    from langchain_google_genai import ChatGoogleGenerativeAI

    chat = ChatGoogleGenerativeAI(model="m", api_key="k", max_retries=1)
    chat.client = Client(api_key="k", http_options=HttpOptions(base_url="http://x", httpx_async_client=client))
    return chat


PACKAGES: dict[str, Callable[[Any], BaseChatModel]] = {
    "openai": _openai,
    "openrouter": _openrouter,
    "anthropic": _anthropic,
    "google": _google,
}


async def message_of(stream: AsyncIterator[Any]) -> dict[str, Any]:
    """What a stream of chunks comes to, without what is made up anew in each run: its id, and those of Gemini's calls."""
    chunks: list[AIMessageChunk] = [chunk async for chunk in stream]
    whole = add_ai_message_chunks(*chunks)
    for thought in whole.additional_kwargs.get("reasoning_details", ()):
        # The package writes it once for each piece: "unknownunknown".
        thought.pop("format")
    return {
        "content": whole.content,
        "calls": [call | {"id": ""} for call in whole.tool_call_chunks],
        "extra": whole.additional_kwargs,
        "usage": whole.usage_metadata,
        "metadata": whole.response_metadata,
    }


def joined(vendor: str, stream: bytes, cuts: list[int]) -> bytes:
    """The stream as the package gets it when the network cuts it at `cuts`."""
    coalescer, out = Coalescer(JOINS[vendor]), []
    ends = [0, *sorted({cut % (len(stream) + 1) for cut in cuts}), len(stream)]
    for begin, end in pairwise(ends):
        out += [event.data() for event in coalescer.feed(stream[begin:end])]
    return b"".join([*out, *(event.data() for event in coalescer.end())])


@pytest.mark.parametrize("vendor", sorted(JOINS))
def test_any_cutting_of_a_stream_gives_the_same_message(vendor: str) -> None:
    """Any chunking of a recorded stream gives the same message."""

    @settings(max_examples=max(10, settings().max_examples // 50))
    @given(pieces, pieces, arguments, st.lists(st.integers(0, 10_000), max_size=8), st.booleans())
    def holds(
        thoughts: tuple[str, ...], text: tuple[str, ...], args: tuple[str, ...], cuts: list[int], windows: bool
    ) -> None:
        if vendor == "google":
            args = ('{"a": 1}',) if args else ()
        spoken = Spoken(text=text, thoughts=thoughts, tool="t" if args else "", arguments=args)
        stream = b"".join(events(vendor, spoken))
        if windows:
            stream = stream.replace(b"\n", b"\r\n")

        async def both() -> tuple[dict[str, Any], dict[str, Any]]:
            whole = await message_of(heard(vendor, stream))
            return whole, await message_of(heard(vendor, joined(vendor, stream, cuts)))

        whole, again = loop.run(both())
        assert again == whole

    with asyncio.Runner() as loop:
        holds()


@pytest.mark.parametrize("vendor", sorted(JOINS))
async def test_the_gateways_own_path_says_what_the_vendors_package_says(vendor: str) -> None:
    spoken = Spoken(text=("Let ", "me ", "see."), thoughts=("Hm", "m."), tool="t", arguments=('{"a"', ": 1}"))
    parts = events(vendor, spoken)
    expected = await message_of(heard(vendor, b"".join(parts)))
    async with scripted_server(sse(*parts)) as server:
        base_url = server.url if vendor in {"anthropic", "google"} else f"{server.url}/v1"
        model = Model(provider=vendor, name="m", size="small")
        built = await asyncio.to_thread(providers()[vendor].build, model, ApiEndpoint(base_url=base_url, key="k"))
        chat: Any = built.chat
        if vendor == "anthropic":
            chat = chat.bind_tools([{"name": "t", "description": "t", "input_schema": {"type": "object"}}])
        found = await message_of(chat.astream(QUESTION))
        await built.close()

    assert found == expected


@pytest.mark.parametrize("vendor", sorted(JOINS))
def test_fifty_tokens_of_one_read_are_one_event_of_text(vendor: str) -> None:
    words = tuple(f"tok{number} " for number in range(50))
    stream = b"".join(events(vendor, Spoken(text=words)))

    found = Coalescer(JOINS[vendor]).feed(stream)

    assert len(found) <= 7
    assert sum("tok0 tok1 " in json.dumps(event.value) for event in found) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": {"content": []}}]},) * 2,
        (
            {"choices": [{"index": 0, "delta": {"content": "a"}}]},
            {"choices": [{"index": 1, "delta": {"content": "b"}}]},
        ),
        ({"choices": [{"index": 0, "delta": {"content": "a"}}]}, {"error": {"message": "overloaded"}}),
        ({"choices": [{"index": 0, "delta": {"audio": "a"}}]}, {"choices": [{"index": 0, "delta": {"audio": "b"}}]}),
        ({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, {"choices": [{"index": 0, "delta": {}}]}),
        ({"choices": []}, {"choices": [], "usage": {}}),
        ({}, {}),
    ],
)
def test_what_a_join_does_not_know_stays_as_it_is(first: Any, second: Any) -> None:
    stream = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in (first, second))

    for join in JOINS.values():
        assert b"".join(event.data() for event in Coalescer(join).feed(stream)) == stream


@given(st.lists(st.binary(max_size=30), max_size=10), st.sampled_from(sorted(JOINS)))
def test_bytes_that_are_no_events_pass_through(chunks: list[bytes], vendor: str) -> None:
    coalescer = Coalescer(JOINS[vendor])
    out = b"".join(event.data() for chunk in chunks for event in coalescer.feed(chunk))
    out += b"".join(event.data() for event in coalescer.end())

    assert out.split() == b"".join(chunks).replace(b"\r\n", b"\n").split()


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "choices",
                        "delta",
                        "index",
                        "content",
                        "type",
                        "text",
                        "parts",
                        "candidates",
                        "tool_calls",
                        "function",
                        "finish_reason",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_an_event_of_another_shape_never_breaks_the_stream(value: Any) -> None:
    stream = (b"data: " + json.dumps(value).encode() + b"\n\n") * 2

    for join in JOINS.values():
        assert Coalescer(join).feed(stream)


def test_an_event_without_an_end_is_given_up() -> None:
    coalescer = Coalescer(join_openai)
    for _ in range(32):
        assert coalescer.feed(b"x" * 1024 * 1024) == []

    with pytest.raises(EventTooLarge):
        coalescer.feed(b"x")


class Trickle:
    """A stream that gives what was put in since the last read, and counts the reads."""

    def __init__(self) -> None:
        self.reads = 0
        self._data, self._there = b"", asyncio.Event()
        self._on_end: list[Callable[[], None]] = []
        self._over = False

    def put(self, data: bytes) -> None:
        self._data += data
        self._there.set()

    def end(self) -> None:
        self._over = True
        self._there.set()
        for callback in self._on_end:
            callback()

    async def readany(self) -> bytes:
        while not self._data and not self._over:
            self._there.clear()
            await self._there.wait()
        self.reads += 1
        data, self._data = self._data, b""
        return data

    def on_eof(self, callback: Callable[[], None]) -> None:
        self._on_end.append(callback)


async def test_the_first_read_is_at_once_and_the_end_is_not_waited_for() -> None:
    """The pace is an hour: whoever waited for it would not be done."""
    source = Trickle()
    pace = Pace(source, pace_s=3600)
    source.put(b"first ")
    read: list[bytes] = []

    async def reading() -> None:
        async for data in pace.reads():
            read.append(data)
            pace.begin()

    task = asyncio.create_task(reading())
    while not read:  # noqa: ASYNC110 - nothing tells of a read
        await asyncio.sleep(0)
    for token in (b"second ", b"third "):
        source.put(token)
        await asyncio.sleep(0)
    assert read == [b"first "]

    source.end()
    async with asyncio.timeout(60):
        await task

    assert read == [b"first ", b"second third "]


async def test_before_the_first_word_reads_are_not_paced() -> None:
    source = Trickle()
    pace, read = Pace(source, pace_s=3600), list[bytes]()

    async def reading() -> None:
        async for data in pace.reads():
            read.append(data)

    task = asyncio.create_task(reading())
    for number in range(3):
        source.put(b"%d" % number)
        async with asyncio.timeout(60):
            while len(read) <= number:  # noqa: ASYNC110 - nothing tells of a read
                await asyncio.sleep(0)
    source.end()
    await task

    assert read == [b"0", b"1", b"2"]


async def test_a_vendor_is_asked_through_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    request = httpx2.Request("POST", "http://vendor.invalid/v1/chat", headers={"authorization": "Bearer key"})
    async with scripted_server(Reply()) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("http://", "http://somebody:secret@"))
        monkeypatch.setenv("no_proxy", "")
        vendor = Session()
        answer = await vendor.send(request, b"{}")
        answer.close()
        await vendor.close()

    (asked,) = proxy.asked
    assert asked.path == "http://vendor.invalid/v1/chat"
    assert asked.headers["authorization"] == "Bearer key"
    assert base64.b64decode(asked.headers["proxy-authorization"].removeprefix("Basic ")) == b"somebody:secret"


async def test_a_vendor_that_the_environment_excepts_is_asked_without_the_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with scripted_server(Reply()) as proxy, scripted_server(Reply()) as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "localhost")
        vendor = Session()
        answer = await vendor.send(httpx2.Request("POST", f"http://localhost:{server.port}/v1/chat"), b"{}")
        answer.close()
        await vendor.close()

    assert (len(proxy.asked), len(server.asked)) == (0, 1)
