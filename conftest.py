"""Fixtures that every app's tests share: the named users, a real Valkey, a browser, the async pool."""

import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.conf import settings as django_settings
from django.db import connections
from django.test import TransactionTestCase
from django.utils import timezone

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext

    from gateway.testing.forking import Zygote

# How fast an example is made says something of the machine, not of the code.
for _profile, _examples in (("suite", 100), ("soak", 10_000)):
    hypothesis.settings.register_profile(
        _profile, deadline=None, max_examples=_examples, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
hypothesis.settings.load_profile("suite")


def pytest_configure() -> None:
    """Let a password be hashed once: in production that takes half a second, so that guessing does."""
    django_settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


DEMO_TIERS = {"demo-free": "free", "demo-pro": "pro", "demo-enterprise": "enterprise"}


@pytest.fixture
def users(transactional_db: None) -> dict[str, str]:
    """The named users with a licence, user id by user id; `demo-unlicensed` and `stranger` have none."""
    from accounts.models import UserLicence

    for user, tier in DEMO_TIERS.items():
        UserLicence.objects.create(user_id=user, email=f"{user}@example.com", license_type=tier)
    UserLicence.objects.create(
        user_id="demo-expired",
        email="demo-expired@example.com",
        license_type="pro",
        expires_at=timezone.now() - timedelta(days=1),
    )
    return {user: user for user in [*DEMO_TIERS, "demo-expired"]}


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real Valkey server, shared by the run; each test takes keys of its own."""
    from gateway.embedded import running_valkey

    with running_valkey(Path(tmp_path_factory.mktemp("valkey"))) as url:
        yield url


@pytest.fixture(scope="session")
def workspaces() -> Iterator["Zygote"]:
    """Forks workspaces' servers, which otherwise take a second of processor time each to start."""
    from agents.tests.doubles.workspace import FOLDER, IMPORTED
    from gateway.testing.forking import zygote

    with zygote(IMPORTED, folder=FOLDER) as forks:
        yield forks


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator["Browser"]:
    """The one browser of the run. Here, since a fixture that a module imports is another one, with a browser of its own."""
    from playwright.async_api import async_playwright

    from gateway.testing.chromium import ARGUMENTS, program

    path = program()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def context(chromium: "Browser") -> AsyncIterator["BrowserContext"]:
    """A browser's profile for one test."""
    from gateway.testing.chromium import new_profile

    fresh = await new_profile(chromium)
    yield fresh
    await fresh.close()


@pytest.fixture
async def pool(transactional_db: None) -> AsyncIterator[None]:
    """The async pool of the test's own event loop."""
    from gateway import db

    await db.open_pool()
    yield
    await db.close_pool()
    # The ORM's async half works in a thread of its own, whose connection would outlive the test database.
    await sync_to_async(connections.close_all)()


@pytest.fixture(scope="session")
def issuer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the development issuer keeps in DATA_DIR: a key, which takes up to 0.2 s to make."""
    folder = tmp_path_factory.mktemp("issuer")
    pem = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    (folder / "key.pem").write_bytes(pem)
    return folder


@pytest.fixture
def data_dir(tmp_path: Path, issuer_folder: Path, settings: object) -> Path:
    """A DATA_DIR of the test's own; the development issuer has worked there before."""
    shutil.copytree(issuer_folder, tmp_path / "issuer")
    settings.DATA_DIR = tmp_path  # type: ignore[attr-defined]
    return tmp_path


# TRUNCATE, as Django does it, makes two files anew for each table and index: 0.2 s a test, where these rows are few.
# Tables without a page never had one: to plan a statement for each of them took a new connection most of the time.
_EMPTY_TABLES = """
DO $$
DECLARE each text;
BEGIN
    SET LOCAL session_replication_role = replica;
    FOR each IN SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
        AND relname NOT IN ('django_migrations', 'django_content_type', 'auth_permission') AND pg_relation_size(oid) > 0
    LOOP
        EXECUTE format('DELETE FROM %I', each);
    END LOOP;
END $$
"""


def _empty_tables(_self: TransactionTestCase) -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute(_EMPTY_TABLES)


TransactionTestCase._fixture_teardown = _empty_tables  # type: ignore[attr-defined]  # Django's hook for this
