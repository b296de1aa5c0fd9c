"""Static files that are there, and those that are not."""

from django.test import AsyncClient


async def test_a_static_file_is_served(async_client: AsyncClient) -> None:
    response = await async_client.get("/static/css/app.css")

    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/css")


async def test_a_missing_static_file_is_404_without_a_path_of_the_machine(async_client: AsyncClient) -> None:
    response = await async_client.get("/static/nope.js")

    assert response.status_code == 404
    assert b"static" not in response.content
