"""Build what the Dockerfiles describe, in clean Debian roots, and use it as a cluster would: nobody's account, read-only root.

    python -m bench.image_check

For machines without Docker. Needs Linux, root, mmdebstrap or debootstrap, and the package registries. The base root is kept
in build/image-check/. Exits non-zero at the first thing that is wrong.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.folders import passing_folder
from bench.images.dockerfile import Build, Image
from bench.images.roots import Root, clean_root
from gateway.embedded import ensure_database_url, running_valkey
from gateway.embedded.ports import free_port

PROJECT = Path(__file__).resolve().parent.parent
KEPT = PROJECT / "build/image-check"
READY_S = 120.0
STOPPED_S = 30.0


def main() -> None:
    """Build and use the three images."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    if os.geteuid() != 0:
        raise SystemExit("A root can be made and entered by root only.")
    KEPT.mkdir(parents=True, exist_ok=True)
    folder = passing_folder(KEPT)
    check_gateway(built(folder / "gateway", PROJECT, "Dockerfile"), folder)
    key = Ed25519PrivateKey.generate()
    check_workspace(built(folder / "workspace", PROJECT / "workspace", "mcp_server/Dockerfile"), key)
    check_sidecar(built(folder / "sidecar", PROJECT / "workspace", "lifecycle_sidecar/Dockerfile"))
    say("All three images start, answer, stay within their folders and stop.")


def built(folder: Path, context: Path, dockerfile: str) -> Image:
    """The image of a Dockerfile."""
    say(f"{context.name}/{dockerfile}")
    folder.mkdir()
    stages = iter(range(9))
    return Build(context, lambda: clean_root(KEPT / "python", folder / str(next(stages)))).run(context / dockerfile)


def check_gateway(image: Image, folder: Path) -> None:
    """Migrate, check, serve, work; the health check passes, nothing can be written, SIGTERM ends it well."""
    with running_valkey(folder) as redis_url:
        settings = production(ensure_database_url(folder / "data", durable=False), redis_url)
        for command in (
            ("migrate", "--noinput"),
            ("check", "--deploy", "--fail-level", "WARNING"),
            ("usage", "--json"),
        ):
            finish(image.root, ["python", "manage.py", *command], **settings)
        port = settings["PORT"]
        with running(image.root, image.arguments, settings):
            until(f"http://127.0.0.1:{port}/health", what="the gateway")
            finish(image.root, image.health, **settings)
        metrics = free_port()
        with running(image.root, ["python", "manage.py", "run_worker", "--metrics-port", str(metrics)], settings):
            until(f"http://127.0.0.1:{metrics}/", what="the worker")
        refuse_to_write(image.root, "/app", "/venv", "/etc")
        assert not list((image.root.folder / "app").rglob("tests")), "tests are no part of the image"


def check_workspace(image: Image, key: Ed25519PrivateKey) -> None:
    """Serve a user's workspace on /data alone."""
    (image.root.folder / "data/key.pem").write_bytes(
        key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    )
    port = free_port()
    options = {"WORKSPACE_USER": "somebody", "WORKSPACE_TIER": "free", "WORKSPACE_PUBLIC_KEY": "/data/key.pem"}
    options |= {"WORKSPACE_PORT": str(port), "WORKSPACE_ACTIVITY_PORT": str(free_port())}
    with running(image.root, image.arguments, options, writable=["/data"]):
        until(f"http://127.0.0.1:{port}/healthz", what="the workspace")
        finish(image.root, image.health, **options)
    refuse_to_write(image.root, "/app", "/etc")


def check_sidecar(image: Image) -> None:
    """It needs a cluster to do anything; that it starts is seen by its answer to a wrong option."""
    done = image.root.start([*image.arguments, "--no-such-option"])
    assert done.wait(STOPPED_S) == 2, "the sidecar refuses an unknown option with 2"


def production(database_url: str, redis_url: str) -> dict[str, str]:
    """Settings as `make check` has them, with real servers."""
    pem = Ed25519PrivateKey.generate().private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "SECRET_KEY": os.urandom(40).hex(),
        "PORT": str(free_port()),
        "ALLOWED_HOSTS": "gateway.example",
        "ALLOWED_ORIGINS": "https://gateway.example",
        "JWT_JWKS_URL": "https://issuer.example/jwks.json",
        "JWT_ISSUER": "https://issuer.example",
        "JWT_AUDIENCE": "dexorder",
        "WORKSPACE_SIGNING_KEY": pem.decode(),
    }


def finish(root: Root, arguments: list[str], **environment: str) -> None:
    """Run a command of the image to its end, which must be a good one."""
    status = root.start(arguments, **environment).wait(READY_S)
    assert status == 0, f"{' '.join(arguments)[:80]} ended with {status}"


@contextlib.contextmanager
def running(
    root: Root, arguments: list[str], environment: dict[str, str], *, writable: Sequence[str] = ()
) -> Iterator[None]:
    """The process of a container; SIGTERM must end it with 0."""
    say(f"  starts {' '.join(arguments)[:80]}")
    process = root.start(arguments, writable=writable, **environment)
    try:
        yield
        assert process.poll() is None, f"it ended with {process.returncode}"
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOPPED_S) == 0, f"SIGTERM ended it with {process.returncode}"
    finally:
        process.kill()


def refuse_to_write(root: Root, *folders: str) -> None:
    """Nothing of the image can be changed by its own account."""
    for folder in folders:
        probe = root.start(["/bin/sh", "-c", f"! touch {folder}/x 2>/dev/null"])
        assert probe.wait(STOPPED_S) == 0, f"{folder} can be written"


def until(url: str, *, what: str) -> None:
    """Wait for a 200."""
    attempt(lambda: urllib.request.urlopen(url, timeout=5).status == 200, what=what)  # noqa: S310 - loopback


def attempt(good: Callable[[], bool], *, what: str) -> None:
    """Try until it is good."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            if good():
                return
        time.sleep(0.2)
    raise SystemExit(f"{what} did not come up within {READY_S:.0f} s")


def say(text: str) -> None:
    """Tell where it is."""
    print(text, flush=True)


if __name__ == "__main__":
    try:
        main()
    except (AssertionError, subprocess.CalledProcessError) as error:
        raise SystemExit(f"image-check: {error}") from error
