"""Uploading files. Source: DESIGN section 4, `uploads`; the forms of refusals."""

import httpx
import pytest

from agents.uploads import MOST_BYTES, MOST_WAITING
from channels_app.tests.live import error_code, http_of

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/api/v1/uploads"
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 20


async def put(http: httpx.AsyncClient, content: bytes = PNG, name: str = "chart.png") -> httpx.Response:
    return await http.post(URL, files={"file": (name, content, "text/html")})


async def test_a_file_is_uploaded_listed_sent_and_then_the_messages(gateway: str) -> None:
    """The type is what the content says, not what the sender says."""
    async with http_of(gateway, "demo-pro") as http:
        made = await put(http)
        listed = await http.get(URL)
        sent = await http.post("/api/v1/turns", json={"content": "Look", "attachments": [made.json()["id"]]})
        left = await http.get(URL)

    assert made.status_code == 201
    assert made.json() | {"id": "", "expires_at": ""} == {
        "id": "", "name": "chart.png", "kind": "picture", "media_type": "image/png", "size": len(PNG), "expires_at": "",
    }  # fmt: skip
    assert listed.json() == {"uploads": [made.json()], "next": None}
    assert sent.status_code == 202
    assert left.json()["uploads"] == []


async def test_a_file_can_be_removed_before_it_is_sent(gateway: str) -> None:
    async with http_of(gateway, "demo-pro") as http, http_of(gateway, "demo-free") as other:
        url = f"{URL}/{(await put(http)).json()['id']}"
        assert error_code(await other.delete(url), 404) == "not_found"
        assert (await http.delete(url)).status_code == 204
        assert error_code(await http.delete(url), 404) == "not_found"


async def test_a_file_of_three_megabytes_is_taken_and_a_larger_one_refused(gateway: str) -> None:
    async with http_of(gateway, "demo-pro") as http:
        assert (await put(http, b"x" * MOST_BYTES, "long.txt")).status_code == 201
        assert error_code(await put(http, b"x" * (MOST_BYTES + 1), "long.txt"), 413) == "too_large"


async def test_what_is_no_file_is_refused(gateway: str) -> None:
    async with http_of(gateway, "demo-pro") as http:
        assert error_code(await put(http, b"PK\x03\x04\x00"), 400) == "invalid"
        assert error_code(await http.post(URL, data={"file": "x"}, files={"other": PNG}), 400) == "invalid"
        two = [("file", ("a.png", PNG)), ("file", ("b.png", PNG))]
        assert error_code(await http.post(URL, files=two), 400) == "invalid"
        assert error_code(await http.post(URL, json={"file": "x"}), 415) == "unsupported_media_type"
        broken = {"Content-Type": "multipart/form-data"}
        assert error_code(await http.post(URL, content=b"--x", headers=broken), 400) == "invalid"


async def test_who_has_too_many_waiting_is_told(gateway: str) -> None:
    async with http_of(gateway, "demo-pro") as http:
        for _ in range(MOST_WAITING):
            assert (await put(http)).status_code == 201
        assert error_code(await put(http), 409) == "too_many"


async def test_another_sites_form_cannot_upload_with_the_pages_session(gateway: str) -> None:
    """A form of any site may post multipart with the cookies: only the page knows the CSRF token."""
    async with http_of(gateway, "demo-pro") as http:
        assert (await http.post("/api/v1/session")).status_code == 201
        del http.headers["Authorization"]
        assert error_code(await put(http), 403) == "forbidden"
        await http.get("/")
        http.headers["X-CSRFToken"] = http.cookies["csrftoken"]
        assert (await put(http)).status_code == 201
