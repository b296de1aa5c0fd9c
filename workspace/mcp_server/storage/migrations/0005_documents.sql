CREATE TABLE summaries (
    conversation TEXT PRIMARY KEY REFERENCES conversations (id) ON DELETE CASCADE, summary TEXT NOT NULL,
    up_to INTEGER NOT NULL, updated_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE documents (
    position INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, pages INTEGER,
    added_at TEXT NOT NULL, content BLOB NOT NULL
);
CREATE TABLE passages (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    document INTEGER NOT NULL REFERENCES documents (position) ON DELETE CASCADE, page INTEGER, line INTEGER NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX passages_of_document ON passages (document, position);
CREATE VIRTUAL TABLE passage_words USING fts5 (
    text, content = 'passages', content_rowid = 'position', tokenize = 'porter unicode61'
);
CREATE TABLE memory_vectors (
    position INTEGER PRIMARY KEY REFERENCES memories (position) ON DELETE CASCADE, model TEXT NOT NULL,
    vector BLOB NOT NULL
);
CREATE TABLE passage_vectors (
    position INTEGER PRIMARY KEY REFERENCES passages (position) ON DELETE CASCADE, model TEXT NOT NULL,
    vector BLOB NOT NULL
);
