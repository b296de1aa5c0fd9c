"""Whether this process can serve: `/health` for readiness, `/health/live` for liveness."""

import asyncio

import psycopg
import redis.asyncio
from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from redis.exceptions import RedisError

from agents.providers import providers, switched_on
from channels_app.channels import channels
from gateway.db import connection

# A probe that waits longer tells as much as one that fails.
DATABASE_TIMEOUT_S = REDIS_TIMEOUT_S = 2.0


@csrf_exempt
@require_safe
async def live(_request: HttpRequest) -> JsonResponse:
    """200 as long as the process answers at all."""
    return JsonResponse({"status": "ok"})


@csrf_exempt
@require_safe
async def ready(_request: HttpRequest) -> JsonResponse:
    """200 when PostgreSQL, Redis (if set) and a live worker are there, 503 otherwise; the rest is for information."""
    checks = await _database_checks()
    if settings.REDIS_URL:
        checks["redis"] = await _redis_answers()
    up = all(checks.values())
    body = {
        "status": "ok" if up else "unavailable",
        "checks": {name: "ok" if good else "down" for name, good in checks.items()},
        "channels": {name: _word(channel.is_on()) for name, channel in channels().items()},
        "providers": {name: _word(name in switched_on()) for name in providers()},
    }
    return JsonResponse(body, status=200 if up else 503)


async def _database_checks() -> dict[str, bool]:
    try:
        async with asyncio.timeout(DATABASE_TIMEOUT_S), connection() as conn:
            cursor = await conn.execute(
                "SELECT EXISTS (SELECT 1 FROM worker_leases WHERE expires_at > clock_timestamp())"
            )
            row = await cursor.fetchone()
    except (psycopg.Error, TimeoutError):
        return {"postgresql": False, "worker": False}
    return {"postgresql": True, "worker": bool(row and row[0])}


async def _redis_answers() -> bool:
    client = redis.asyncio.from_url(
        settings.REDIS_URL, socket_timeout=REDIS_TIMEOUT_S, socket_connect_timeout=REDIS_TIMEOUT_S
    )
    try:
        return bool(await client.ping())
    except (RedisError, OSError):
        return False
    finally:
        await client.aclose()


def _word(on: bool, /) -> str:
    return "on" if on else "off"
