CREATE TABLE exchange_bars (
    symbol TEXT NOT NULL, interval TEXT NOT NULL, currency TEXT, bars INTEGER NOT NULL, first_ns INTEGER NOT NULL,
    last_ns INTEGER NOT NULL, asked_at REAL NOT NULL, used_at REAL NOT NULL, packed BLOB NOT NULL,
    PRIMARY KEY (symbol, interval)
);
