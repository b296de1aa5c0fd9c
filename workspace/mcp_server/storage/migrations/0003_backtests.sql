CREATE TABLE backtests (
    position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, strategy TEXT NOT NULL,
    version INTEGER NOT NULL, created_at TEXT NOT NULL, pinned INTEGER NOT NULL DEFAULT 0, size_bytes INTEGER NOT NULL,
    summary TEXT NOT NULL, trades_z BLOB, equity_z BLOB, chart_png BLOB
);
