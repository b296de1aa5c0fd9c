"""Source: DESIGN.md, section 3: close codes; a bad frame is an `error`, and the server goes on."""

import json

import pytest

from channels_app.tests.live import ready_client

pytestmark = pytest.mark.django_db(transaction=True)

LARGEST = 64 * 1024


async def test_a_ping_is_answered(gateway: str) -> None:
    async with ready_client(gateway, "demo-pro") as client:
        await client.send("ping", id="1")

        assert await client.next() == {"type": "pong"}


async def test_a_binary_frame_closes_with_1003(gateway: str) -> None:
    async with ready_client(gateway, "demo-pro") as client:
        await client.connection.send(b'{"type":"ping"}')

        assert (await client.closed())[0] == 1003


async def test_a_text_that_is_not_utf_8_closes_with_1007(gateway: str, caplog: pytest.LogCaptureFixture) -> None:
    async with ready_client(gateway, "demo-pro") as client:
        await client.connection.send(b'{"type":"\xff"}', text=True)

        assert (await client.closed())[0] == 1007


async def test_a_frame_of_64_kib_is_taken_and_a_larger_one_closes_with_1009(gateway: str) -> None:
    frame = json.dumps({"type": "ping", "pad": ""})
    async with ready_client(gateway, "demo-pro") as client:
        await client.connection.send(frame.replace('""', '"' + "x" * (LARGEST - len(frame)) + '"'))
        assert (await client.next())["type"] == "pong"

        await client.connection.send(frame.replace('""', '"' + "x" * (LARGEST - len(frame) + 1) + '"'))
        assert (await client.closed())[0] == 1009


async def test_64_kib_are_bytes_not_characters(gateway: str) -> None:
    async with ready_client(gateway, "demo-pro") as client:
        await client.connection.send(json.dumps({"type": "ping", "pad": "é" * (LARGEST // 2)}, ensure_ascii=False))

        assert (await client.closed())[0] == 1009


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        '{"type":"message","content":NaN}',
        '{"type":"message","content":"\\ud800"}',
        '{"type":"message","content":"a\\u0000b"}',
        '{"type":"ping","type":"ping"}',
        '{"type":"resume","turn":"t","after":' + "9" * 5000 + "}",
        "[" * 30_000 + "]" * 30_000,
    ],
)
async def test_hostile_json_is_an_error_and_the_socket_stays_open(gateway: str, text: str) -> None:
    async with ready_client(gateway, "demo-pro") as client:
        await client.connection.send(text)

        assert (await client.next())["code"] == "invalid"
        await client.quiet()


async def test_ten_bad_frames_close_with_1008(gateway: str) -> None:
    async with ready_client(gateway, "demo-pro") as client:
        for _ in range(10):
            await client.connection.send("nonsense")

        assert (await client.closed())[0] == 1008
    assert [frame["code"] for frame in client.frames if frame["type"] == "error"] == ["invalid"] * 10


async def test_more_than_100_frames_in_10_s_close_with_4429(gateway: str) -> None:
    async with ready_client(gateway, "demo-pro") as client:
        for _ in range(101):
            await client.send("ping")

        assert (await client.closed())[0] == 4429
    assert [frame["type"] for frame in client.frames].count("pong") == 100


async def test_a_message_with_a_file_that_is_not_there_is_refused(gateway: str) -> None:
    async with ready_client(gateway, "demo-pro") as client:
        await client.send("message", id="mine", content="x", attachments=["u"])

        answer = await client.next()
    assert (answer["type"], answer["code"], answer["id"]) == ("error", "not_found", "mine")
