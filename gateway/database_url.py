"""Where no DATABASE_URL is given, the project's own PostgreSQL serves."""

import os
from pathlib import Path

from gateway import env
from gateway.embedded import ensure_database_url


def provide_database_url() -> None:
    """Set DATABASE_URL from the embedded server, joined or started, unless the environment has one."""
    env.load_dotenv()
    if env.text("DATABASE_URL"):
        return
    os.environ["DATABASE_URL"] = ensure_database_url(data_dir())


def data_dir() -> Path:
    """DATA_DIR as an absolute path."""
    return (env.ROOT / env.text("DATA_DIR", ".data")).absolute()
