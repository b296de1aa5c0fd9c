CREATE TABLE strategies (name TEXT PRIMARY KEY, place_in_bin INTEGER) WITHOUT ROWID;
CREATE TABLE strategy_versions (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    strategy TEXT NOT NULL REFERENCES strategies (name) ON DELETE CASCADE, version INTEGER NOT NULL,
    digest TEXT NOT NULL, description TEXT NOT NULL, source TEXT NOT NULL, size_bytes INTEGER NOT NULL,
    created_at TEXT NOT NULL, UNIQUE (strategy, version)
);
CREATE TABLE deployments (
    position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, idempotency_key TEXT NOT NULL UNIQUE,
    request TEXT NOT NULL, terms TEXT NOT NULL, source TEXT NOT NULL, kept INTEGER NOT NULL, state TEXT NOT NULL,
    since TEXT NOT NULL, ended_at TEXT, last_bar INTEGER NOT NULL, account TEXT NOT NULL, tries INTEGER NOT NULL,
    last_error TEXT
);
CREATE INDEX deployments_by_state ON deployments (state);
CREATE TABLE deployment_steps (
    deployment TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE, bar INTEGER NOT NULL, equity REAL NOT NULL,
    PRIMARY KEY (deployment, bar)
) WITHOUT ROWID;
CREATE TABLE paper_orders (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    deployment TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE, symbol TEXT NOT NULL,
    decided_bar INTEGER NOT NULL, target REAL NOT NULL, state TEXT NOT NULL, filled_bar INTEGER, units REAL, price REAL,
    fee REAL, UNIQUE (deployment, decided_bar, symbol)
);
