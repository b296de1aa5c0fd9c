CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE conversations (
    id TEXT PRIMARY KEY, title TEXT NOT NULL, messages INTEGER NOT NULL, created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE TABLE turns (
    conversation TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE, turn TEXT NOT NULL,
    messages INTEGER NOT NULL, PRIMARY KEY (conversation, turn)
) WITHOUT ROWID;
CREATE TABLE messages (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE, turn TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX messages_of_conversation ON messages (conversation, position);
CREATE TABLE memories (
    position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, content TEXT NOT NULL UNIQUE,
    tags TEXT NOT NULL, created_at TEXT NOT NULL
);
CREATE VIRTUAL TABLE memory_words USING fts5 (content, tags, tokenize = 'porter unicode61');
CREATE TABLE preferences (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE imported_bars (symbol TEXT PRIMARY KEY, instrument TEXT NOT NULL, csv_gz BLOB NOT NULL);
