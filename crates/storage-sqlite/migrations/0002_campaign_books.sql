-- What each campaign's events of topic spend came to, by day, as the events' offsets in report_offsets say: the source of
-- topic ledger_checkpoints. Date '' is the lifetime; its `changed` counts up with each change.
CREATE TABLE ledger_spend (
    campaign_id         TEXT NOT NULL,
    date                TEXT NOT NULL,
    advertiser_id       TEXT NOT NULL,
    start_ms            INTEGER NOT NULL,
    end_ms              INTEGER NOT NULL,
    spent_nanos         INTEGER NOT NULL,
    over_delivery_nanos INTEGER NOT NULL,
    settled_bids        INTEGER NOT NULL,
    changed             INTEGER NOT NULL,
    PRIMARY KEY (campaign_id, date)
) STRICT, WITHOUT ROWID;
CREATE INDEX ledger_spend_changed ON ledger_spend (changed) WHERE date = '';
CREATE INDEX ledger_spend_end ON ledger_spend (end_ms) WHERE date <> '';

-- Records of the event topics that cannot be understood, the latest of them.
CREATE TABLE report_set_aside (
    sequence      INTEGER PRIMARY KEY AUTOINCREMENT,
    topic         TEXT NOT NULL,
    partition     INTEGER NOT NULL,
    record_offset INTEGER NOT NULL,
    reason        TEXT NOT NULL,
    value         BLOB NOT NULL,
    at_ms         INTEGER NOT NULL
) STRICT;
