"""The environment of a test run, set before Django reads it (pytest loads this with `-p`)."""

import gc
import os
import sys
from pathlib import Path

import certifi

ROOT = Path(__file__).resolve().parent.parent.parent

# Hundreds of thousands of objects are made by importing, and none of them is garbage; see pytest_collection_finish.
gc.disable()

# Nothing of the developer's own environment or .env decides a test.
for name in list(os.environ):
    if name.endswith(("_API_KEY", "_BASE_URL", "_BOT_TOKEN", "_JWKS_URL")) or name in {"REDIS_URL", "DEFAULT_MODEL"}:
        del os.environ[name]
# Some machines forbid it for all: then each process that is started compiles the project anew, and each of pytest's also
# rewrites the assertions of every test.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# Test processes that work side by side share the database server, and nothing else.
data_dir = Path(os.environ.get("TEST_DATA_DIR", str(ROOT / ".data-test")))
os.environ |= {
    "DEBUG": "true",
    "SECRET_KEY": "only-for-tests-only-for-tests-only-for-tests",
    "DATA_DIR": str(data_dir / os.environ.get("PYTEST_XDIST_WORKER", "")),
    "LOG_LEVEL": "WARNING",
    "DJANGO_SETTINGS_MODULE": "gateway.settings",
}
# A key in .env would count as set: an empty value of the environment wins over it.
os.environ |= dict.fromkeys(
    ("REDIS_URL", "JWT_JWKS_URL", "DEFAULT_MODEL", "DEFAULT_MODEL_PROVIDER", "TELEGRAM_BOT_TOKEN"), ""
)

if not os.environ.get("DATABASE_URL"):
    from gateway.embedded import ensure_database_url

    os.environ["DATABASE_URL"] = ensure_database_url(data_dir, durable=False)

# Reading the authorities that the world trusts takes a client 25 to 35 ms, and no test trusts one of them: peers are on
# loopback, and where TLS is tested the test has an authority of its own. OpenSSL reads SSL_CERT_FILE, httpx asks certifi.
authorities = data_dir / "authorities.pem"
if not authorities.exists():
    data_dir.mkdir(parents=True, exist_ok=True)
    draft = authorities.with_suffix(f".{os.getpid()}")
    first, end, _ = Path(certifi.where()).read_text(encoding="utf-8").partition("-----END CERTIFICATE-----")
    draft.write_text(first + end + "\n", encoding="utf-8")
    draft.rename(authorities)
os.environ["SSL_CERT_FILE"] = str(authorities)
certifi.where = lambda: str(authorities)


def pytest_collection_finish() -> None:
    """Let the search for garbage begin, and pass over what was imported."""
    gc.freeze()
    gc.enable()
