"""Read settings from the environment: NAME, or the content of the file that NAME_FILE names."""

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

ROOT = Path(__file__).resolve().parent.parent
LAST_PORT = 65535
POSTGRESQL_SCHEMES = frozenset({"postgresql", "postgres", "psql", "pgsql"})
REDIS_SCHEMES = frozenset({"redis", "rediss", "unix"})


def load_dotenv() -> None:
    """Read `.env` of the project; what the real environment sets wins."""
    file = ROOT / ".env"
    if file.is_file():
        environ.Env.read_env(str(file), overwrite=False)


def text(name: str, default: str = "") -> str:
    """The value of `name`, or of the file named by `name`_FILE, without surrounding white space.

    Raises ImproperlyConfigured when both are set or the file can't be read.
    """
    value, file = os.environ.get(name, ""), os.environ.get(f"{name}_FILE", "")
    if value and file:
        raise ImproperlyConfigured(f"Set {name} or {name}_FILE, not both.")
    if not file:
        return value.strip() or default
    try:
        return _content(file) or default
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"{name}_FILE can't be read.") from error


@cache
def _content(file: str) -> str:
    """What a file held when it was first asked for: some settings are looked at with each request."""
    return Path(file).read_text(encoding="utf-8").strip()


def flag(name: str, *, default: bool = False) -> bool:
    """A boolean; raises ImproperlyConfigured for a word that is neither true nor false."""
    value = text(name).lower()
    if value in {"", "true", "1", "yes", "on", "false", "0", "no", "off"}:
        return default if not value else value in {"true", "1", "yes", "on"}
    raise ImproperlyConfigured(f"{name} must be true or false.")


def number(name: str, default: int) -> int:
    """A whole number; raises ImproperlyConfigured for anything else."""
    value = text(name)
    try:
        return int(value) if value else default
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be a whole number.") from error


def port(name: str, default: int) -> int:
    """A TCP port, 0 for any that is free; raises ImproperlyConfigured for anything else."""
    try:
        found = number(name, default)
    except ImproperlyConfigured:
        found = -1
    if not 0 <= found <= LAST_PORT:
        raise ImproperlyConfigured(f"{name} must be a number from 0 to {LAST_PORT}, such as {default}.")
    return found


def one_of(name: str, allowed: Sequence[str]) -> str:
    """One of these words, in capitals, the first unless set; raises ImproperlyConfigured for another."""
    value = text(name, allowed[0]).upper()
    if value not in allowed:
        raise ImproperlyConfigured(f"{name} must be one of: {', '.join(allowed)}.")
    return value


def words(name: str, default: str = "") -> list[str]:
    """A comma-separated list without empty items."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def local_origins(port: int) -> list[str]:
    """The origins of pages that this machine serves to itself on `port`."""
    return [f"http://localhost:{port}", f"http://127.0.0.1:{port}"]


def database(url: str) -> dict[str, object]:
    """Django's settings for a PostgreSQL URL; raises ImproperlyConfigured for anything else."""
    refusal = "DATABASE_URL must be a postgresql:// URL: postgresql://USER:PASSWORD@HOST:5432/NAME."
    if url.partition("://")[0] not in POSTGRESQL_SCHEMES:
        raise ImproperlyConfigured(refusal)
    try:
        config: dict[str, object] = environ.Env.db_url_config(url)
    except ValueError:
        # What urllib says of a port may quote a password with an unescaped character.
        raise ImproperlyConfigured(refusal) from None
    return config | {"ENGINE": "django.db.backends.postgresql"}


def redis(name: str) -> str:
    """A Redis URL, empty when there is none; raises ImproperlyConfigured for anything else, which may hold a password."""
    url = text(name)
    if url and url.partition("://")[0] not in REDIS_SCHEMES:
        raise ImproperlyConfigured(f"{name} must be a redis:// URL: redis://:PASSWORD@HOST:6379/0.")
    return url
