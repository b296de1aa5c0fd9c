"""Static files that are there, and those that are not."""

import zlib

from django.test import AsyncClient


async def test_a_static_file_is_served(async_client: AsyncClient) -> None:
    response = await async_client.get("/static/css/app.css")

    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/css")


async def test_a_missing_static_file_is_404_without_a_path_of_the_machine(async_client: AsyncClient) -> None:
    response = await async_client.get("/static/nope.js")

    assert response.status_code == 404
    assert b"static" not in response.content


async def test_a_text_is_compressed_for_who_takes_it_and_nothing_else_is(async_client: AsyncClient) -> None:
    taken = {"Accept-Encoding": "gzip"}
    sheet = await async_client.get("/static/css/app.css", headers=taken)
    plain = await async_client.get("/static/css/app.css")
    page = await async_client.get("/nothing-here", headers=taken)

    assert sheet["Content-Encoding"] == "gzip"
    # A browser reads the first member only.
    unpacked = zlib.decompressobj(wbits=31).decompress(sheet.content)
    assert unpacked == b"".join([part async for part in plain])  # type: ignore[attr-defined]
    assert len(sheet.content) < len(unpacked) / 2
    assert "Content-Encoding" not in plain
    assert "Content-Encoding" not in page
