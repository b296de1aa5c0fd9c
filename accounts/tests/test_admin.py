"""Staff's pages for licences. Source: DESIGN section 5, one typed model for whoever writes."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from accounts.models import UserLicence

pytestmark = [pytest.mark.django_db, pytest.mark.urls("accounts.tests.urls")]
LICENCES = "/admin/accounts/userlicence/"
BLANK = {
    "email": "",
    "expires_at_0": "",
    "expires_at_1": "",
    "features": "{}",
    "resource_limits": "{}",
    "mcp_server_url": "",
}


@pytest.fixture
def staff() -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("admin"))
    return client


def faults(answer: Any) -> dict[str, list[str]]:
    assert answer.status_code == 200
    return dict(answer.context["adminform"].form.errors)


def test_a_licence_is_made_and_changed(staff: Client) -> None:
    made = {**BLANK, "user_id": "ada", "license_type": "pro", "features": '{"deploy": false}'}
    assert staff.post(f"{LICENCES}add/", made).status_code == 302

    changed = {**BLANK, "license_type": "free", "resource_limits": '{"idle_s": 60}', "features": ""}
    assert staff.post(f"{LICENCES}ada/change/", changed).status_code == 302

    row = UserLicence.objects.get(user_id="ada")
    assert (row.license_type, row.features, row.resource_limits) == ("free", {}, {"idle_s": 60})


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("features", '{"modles": []}', "There is no key modles; the keys are channels, models"),
        ("features", "[]", "This must be a JSON object"),
        ("features", "{", "valid JSON"),
        ("resource_limits", '{"cpu": "fast"}', "such as 2 or 500m"),
        ("resource_limits", '{"cost_usd_per_month": NaN}', "cost_usd_per_month"),
        ("mcp_server_url", "http://10.0.0.1/", "MCP_SERVER_URL_ALLOWLIST"),
        ("email", "nobody", "e-mail"),
        ("license_type", "platinum", "valid choice"),
        ("user_id", "a\tb", "printable"),
    ],
)
def test_a_fault_stands_at_its_field(column: str, value: str, said: str, staff: Client) -> None:
    form = {**BLANK, "user_id": "ada", "license_type": "pro", column: value}

    found = faults(staff.post(f"{LICENCES}add/", form))

    assert found.keys() == {column}
    assert said in found[column][0]
    assert not UserLicence.objects.exists()


def test_a_user_id_is_taken_once(staff: Client) -> None:
    UserLicence.objects.create(user_id="ada", license_type="pro")

    assert faults(staff.post(f"{LICENCES}add/", {**BLANK, "user_id": "ada", "license_type": "free"})).keys() == {
        "user_id"
    }


def test_licences_are_searched_and_filtered(staff: Client) -> None:
    now = timezone.now()
    for user, tier, days in (("gone", "pro", -1), ("soon", "pro", 1), ("never", "free", None)):
        expires_at = None if days is None else now + timedelta(days=days)
        UserLicence.objects.create(user_id=user, email=f"{user}@example.com", license_type=tier, expires_at=expires_at)

    def listed(**query: str) -> set[str]:
        return {row.user_id for row in staff.get(LICENCES, query).context["cl"].result_list}

    assert listed() == {"gone", "soon", "never"}
    assert listed(state="active") == {"soon", "never"}
    assert listed(state="soon") == {"soon"}
    assert listed(state="expired") == {"gone"}
    assert listed(state="expired", tier="free") == set()
    assert listed(q="soon@example.com") == {"soon"}


def test_nobody_but_staff_sees_any_of_it(client: Client) -> None:
    assert client.get(LICENCES)["Location"].startswith("/admin/login/")


def test_json_too_deep_to_read_is_a_fault_of_its_field(staff: Client) -> None:
    form = {**BLANK, "user_id": "ada", "license_type": "pro", "features": "[" * 50_000}

    assert faults(staff.post(f"{LICENCES}add/", form)).keys() == {"features"}


def test_whoever_opens_the_sign_in_itself_comes_to_the_dashboard(client: Client) -> None:
    get_user_model().objects.create_superuser("grace", password="a long password of hers")

    answer = client.post("/admin/login/", {"username": "grace", "password": "a long password of hers"})

    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")
