"""Source: DESIGN.md, section 4: `/api/schema` and `/api/docs`."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from jsonschema import Draft202012Validator

from channels_app.api.openapi import PREFIX, document
from channels_app.tests.routes import PARAMETER, routes


def test_the_description_is_made_without_a_warning(tmp_path: Path) -> None:
    call_command("spectacular", validate=True, fail_on_warn=True, format="openapi-json", file=str(tmp_path / "made"))

    assert json.loads((tmp_path / "made").read_text(encoding="utf-8")) == document()


def test_every_method_of_every_route_is_described() -> None:
    """The stream of events is a plain view: it answers GET."""
    found = {
        (method.lower(), "/" + PARAMETER.sub(r"{\1}", route.pattern))
        for route in routes()
        for method in route.methods or ("GET",)
        if f"/{route.pattern}".startswith(PREFIX) and f"/{route.pattern}" != PREFIX
    }

    assert {(method, path) for path, operations in document()["paths"].items() for method in operations} == found


def test_every_refusal_has_the_one_form() -> None:
    for path, operations in document()["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    schema = answer["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/Error"}, (method, path, status)


def test_a_list_has_pages_in_the_one_form() -> None:
    """What `list_…` answers with under `?cursor=` has `next`, and whatever has `next` is asked for with `?cursor=`."""
    for operations in document()["paths"].values():
        operation = operations.get("get", {"responses": {}})
        shape = _shape(operation["responses"].get("200", {}))
        asked = {parameter["name"] for parameter in operation.get("parameters", ())}
        assert ("next" in shape.get("properties", {})) == ({"limit", "cursor"} <= asked)


def _shape(answer: dict[str, Any]) -> dict[str, Any]:
    schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
    name = schema.get("$ref", "").rpartition("/")[2]
    shape: dict[str, Any] = document()["components"]["schemas"].get(name, schema)
    return shape


def test_the_schemas_are_json_schemas() -> None:
    for schema in document()["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


@pytest.mark.django_db
def test_anybody_reads_the_description() -> None:
    answer = Client().get("/api/schema")

    assert (answer.status_code, answer.json()["openapi"]) == (200, "3.1.0")


@pytest.mark.django_db
def test_the_page_loads_files_of_our_own_only() -> None:
    answer = Client().get("/api/docs")
    page = answer.content.decode()

    assert "script-src" not in answer["Content-Security-Policy"]
    assert answer["Content-Security-Policy"].startswith("default-src 'self'; style-src 'self' 'unsafe-inline'")
    assert not re.search(r"<script>|<style>|https?://", page)
    for address in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert Client().get(address).status_code == 200, address
