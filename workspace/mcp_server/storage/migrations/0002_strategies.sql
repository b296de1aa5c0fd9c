CREATE TABLE strategies (
    name TEXT PRIMARY KEY, created_at TEXT NOT NULL, updated_at TEXT NOT NULL, deleted_at TEXT
) WITHOUT ROWID;
CREATE TABLE strategy_versions (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    strategy TEXT NOT NULL REFERENCES strategies (name) ON DELETE CASCADE, version INTEGER NOT NULL,
    digest TEXT NOT NULL, description TEXT NOT NULL, source TEXT NOT NULL, size_bytes INTEGER NOT NULL,
    created_at TEXT NOT NULL, UNIQUE (strategy, version)
);
