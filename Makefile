# Works in a folder whose path has spaces, with git, make and Python 3.11+ (venv included) and nothing else.
PY := .venv/bin/python
# The first that is new enough and has venv; 3.11 comes first because the pinned packages were tried together on it.
PYTHON ?= $(shell for each in python3.11 python3 python3.12 python3.13 python3.14; do \
	$$each -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$each && break; done)
BOOTSTRAP = @test -n "$(PYTHON)" || { echo "Python 3.11 or later with venv is needed. On Debian 12: apt-get install python3-venv" >&2; exit 1; }; \
	$(PYTHON) -I gateway/bootstrap.py
# What `check` needs to load the settings; nothing of the developer's own .env decides.
CHECKING = env DATABASE_URL= DATA_DIR=.data-test DEBUG=true SECRET_KEY=only-to-check-the-code
IN_PRODUCTION = env DATABASE_URL= DATA_DIR=.data-test DEBUG=false SECRET_KEY="$$($(PY) -c 'import secrets; print(secrets.token_urlsafe(50))')" \
	ALLOWED_HOSTS=gateway.example ALLOWED_ORIGINS=https://gateway.example REDIS_URL=redis://redis.example:6379/0 \
	JWT_JWKS_URL=https://issuer.example/jwks.json JWT_ISSUER=https://issuer.example JWT_AUDIENCE=dexorder \
	WORKSPACE_SIGNING_KEY="$$($(PY) -c 'from cryptography.hazmat.primitives import serialization as form; \
	from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey as Key; print(Key.generate().private_bytes( \
	form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()).decode())')"

.DEFAULT_GOAL := help
.PHONY: help run test check soak bench-smoke bench-workspace bench-admin bench-model demo-providers image-check upgrade-check valkey clean bench-chat bench-sockets test-cluster bench-provisioning words bench-webhook bench-page check-types check-the-rest

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' Makefile

run: ## start everything on http://localhost:3000 (the first time it installs; Ctrl-C stops)
	$(BOOTSTRAP) run
	@exec $(PY) manage.py up

test: ## run all tests on a PostgreSQL and a Valkey of their own; ARGS="-k word" chooses, ARGS=-n0 runs them one by one
	$(BOOTSTRAP) test
	@exec $(PY) -m pytest -n 4 --dist loadscope --no-loadscope-reorder $(ARGS)

check: ## lint, format, types, layers, migrations, deployment settings, and that every test can be imported
	$(BOOTSTRAP) test
	@$(MAKE) --no-print-directory -j 2 check-types check-the-rest

# The gateway's types take as long as all the rest: side by side they take one core each. Collecting the tests imports them
# all; on a fresh machine it also compiles them once, where each process of `make test` would do so.
check-types:
	$(CHECKING) $(PY) -m mypy .

check-the-rest:
	$(PY) -m pip check --disable-pip-version-check
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	cd workspace && ../$(PY) -m mypy --config-file mypy.ini .
	$(PY) .venv/bin/lint-imports
	$(CHECKING) $(PY) manage.py makemigrations --check --dry-run
	@echo "manage.py check --deploy, as in production"
	@$(IN_PRODUCTION) $(PY) manage.py check --deploy --fail-level WARNING
	@echo "pytest --collect-only"
	@told=$$($(PY) -m pytest --collect-only -qq 2>&1) || { echo "$$told"; exit 1; }

soak: ## the long tests: 10,000 histories of the turn engine, races of approvals and of stopping workspaces, a flood of chats, and what a workspace promises
	$(BOOTSTRAP) test
	@exec $(PY) -m pytest --hypothesis-profile=soak -m soak $(ARGS)

test-cluster: ## hold the API server of KUBECONFIG=FILE to what the tests' own one promises, in namespaces that are deleted after
	$(BOOTSTRAP) test
	@test -f "$(KUBECONFIG)" || { echo "Name a kubeconfig file: make test-cluster KUBECONFIG=..." >&2; exit 2; }
	@TEST_KUBECONFIG="$$(realpath "$(KUBECONFIG)")" $(PY) -m pytest -m any_server provisioning $(ARGS)

bench-smoke: ## print memory after 100 turns and the time to the first token
	$(BOOTSTRAP) test
	@exec $(PY) -m bench.smoke

bench-workspace: ## print start, memory and processor of a workspace's server and sidecar, and the time of backtests
	$(BOOTSTRAP) test
	@cd workspace && exec ../$(PY) -m figures $(ARGS)

bench-admin: ## fill a throwaway database with a million users and print the time of each page of the admin; ARGS="--rows 100000"
	$(BOOTSTRAP) test
	@exec $(PY) -m bench.admin $(ARGS)

bench-provisioning: ## print API calls, times and memory of workspaces on Kubernetes, against the tests' API server; ARGS="--users 100"
	$(BOOTSTRAP) test
	@exec $(PY) -m bench.provisioning $(ARGS)

bench-model: ## print the processor time of a streamed answer of 50 tokens, in a burst and 20 ms apart; ARGS="--profile"
	$(BOOTSTRAP) test
	@exec $(PY) -m bench.model_stream $(ARGS)

bench-chat: ## print what a whole turn costs beside Fastify and LangChain.js, and the time to the first token; ARGS="--profile"
	$(BOOTSTRAP) test
	@exec $(PY) -m bench.chat $(ARGS)

bench-sockets: ## print the gaps between tokens of 500 users at once, and the memory of 2,000 idle sockets
	$(BOOTSTRAP) test
	@exec $(PY) -m bench.sockets $(ARGS)

bench-webhook: ## print how fast 200 webhooks a second are acknowledged; ARGS="--rate 100"
	$(BOOTSTRAP) test
	@exec $(PY) -m bench.webhook $(ARGS)

demo-providers: ## one conversation with a tool through the wire formats of all four model providers, against doubles
	$(BOOTSTRAP) test
	@exec $(PY) -m bench.demo_providers

image-check: ## run the Dockerfiles' steps in clean Debian roots and use what comes out; Linux, as root, with mmdebstrap or debootstrap
	$(BOOTSTRAP) test
	@exec $(PY) -m bench.image_check $(ARGS)

upgrade-check: ## replace a release by this one, and restore a dump, with a turn in flight and an approval open; FROM=REVISION PROVISIONER=kubernetes
	$(BOOTSTRAP) test
	@exec $(PY) -m bench.upgrade $(if $(FROM),--from $(FROM)) $(if $(PROVISIONER),--provisioner $(PROVISIONER))

valkey: ## run a Valkey until Ctrl-C and print its REDIS_URL, for several processes on one machine
	$(BOOTSTRAP) test
	@exec $(PY) -m gateway.embedded

bench-page: ## print the first paint and the weight of the chat and account pages in Chromium, and fail past 1 s or 150 kB; ARGS="--loads 20"
	$(BOOTSTRAP) test
	@exec $(PY) -m bench.page $(ARGS)

words: ## bring the catalogues of the pages' words up to date with the code, and name what is not translated
	$(BOOTSTRAP) test
	@exec $(PY) -m gateway.testing.catalogues

clean: ## remove what can be made again; .env and .data stay
	rm -rf .venv .data-test .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache staticfiles build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
