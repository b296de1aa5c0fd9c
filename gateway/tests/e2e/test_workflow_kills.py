"""An analysis whose gateway is killed while it tests and again while it deploys: it goes on, asks once and deploys once.

Source: DESIGN sections 2 and 6: kill -9 at each point of the workflow; here the whole process, with its workspace's
sidecar left alone.
"""

import asyncio

from gateway.tests.e2e.clients import Chat, chat
from gateway.tests.e2e.conftest import Deploy
from gateway.tests.e2e.processes import Server, http

# The demo model answers, as for a newcomer.
DEMO = {"DEFAULT_MODEL_PROVIDER": "", "DEFAULT_MODEL": "", "OPENAI_BASE_URL": ""}


async def test_killed_twice_an_analysis_deploys_once(deploy: Deploy) -> None:
    with deploy("analysis", **DEMO) as running:
        server = running.serve()
        async with chat(server, "demo-pro") as page:
            turn = await page.begin("/analyse sma_crossover on SPX")
            await _called(page, turn, "run_backtest")
            server.kill()
        server = await asyncio.to_thread(running.serve)
        async with chat(server, "demo-pro") as second:
            await second.resume(turn, page)
            while "approval" not in second.kinds(turn):
                await second.next()
            _approve(server, "demo-pro")
            await _called(second, turn, "deploy_strategy")
            server.kill()
        server = await asyncio.to_thread(running.serve)
        async with chat(server, "demo-pro") as again:
            await again.resume(turn, second)
            done = await again.end_of(turn)
            review = await again.begin("How is my portfolio?")
            told = await again.end_of(review)

        assert done["type"] == "done", done
        assert done["content"].count("**Deployed:** sma_crossover on SPX") == 1
        assert again.shown(turn) == done["content"]
        assert "**1 strategy runs on paper" in told["content"]
        assert running.ask("SELECT count(*) FROM approvals") == 1


async def _called(page: Chat, turn: str, tool: str) -> None:
    while not any(event.get("tool") == tool for event in page.events(turn)):
        await page.next()


def _approve(server: Server, user: str) -> None:
    headers = {"Authorization": f"Bearer {server.token(user)}"}
    [waiting] = http.get(f"{server.url}/api/v1/approvals", headers=headers).json()["approvals"]
    answer = http.post(
        f"{server.url}/api/v1/approvals/{waiting['id']}/decision", headers=headers, json={"decision": "approve"}
    )
    assert answer.status_code == 200, answer.text
