-- Instants are Unix milliseconds. Memberships from before the column never end.
ALTER TABLE audience_members ADD COLUMN ends_ms INTEGER NOT NULL DEFAULT 9223372036854775807;
CREATE INDEX audience_members_end ON audience_members (ends_ms);

-- Whom an exchange's id of a user stands for.
CREATE TABLE user_links (
    user_key  TEXT NOT NULL PRIMARY KEY,
    linked_to TEXT NOT NULL,
    ends_ms   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX user_links_end ON user_links (ends_ms);
