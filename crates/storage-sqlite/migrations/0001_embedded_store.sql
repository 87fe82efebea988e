-- STRICT everywhere: a sum that leaves 64 bits fails the statement instead of turning into a float.

CREATE TABLE store (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    -- Unix milliseconds of its creation: a store made anew has a higher one than the store it replaces.
    generation INTEGER NOT NULL,
    revision   INTEGER NOT NULL
) STRICT;

CREATE TABLE documents (
    kind          TEXT NOT NULL,
    id            TEXT NOT NULL,
    advertiser_id TEXT,
    parent_id     TEXT,
    external_id   TEXT,
    name          TEXT NOT NULL,
    status        TEXT NOT NULL,
    version       INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    body          TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT;

CREATE UNIQUE INDEX documents_external_id ON documents (kind, coalesce(advertiser_id, ''), external_id)
    WHERE external_id IS NOT NULL AND status <> 'archived';
CREATE INDEX documents_created ON documents (kind, created_at_ms, id);
CREATE INDEX documents_updated ON documents (kind, updated_at_ms, id);
CREATE INDEX documents_name ON documents (kind, name, id);
CREATE INDEX documents_advertiser ON documents (kind, advertiser_id, created_at_ms, id);
CREATE INDEX documents_parent ON documents (kind, parent_id, created_at_ms, id);

CREATE TABLE document_history (
    kind    TEXT NOT NULL,
    id      TEXT NOT NULL,
    version INTEGER NOT NULL,
    actor   TEXT NOT NULL,
    at_ms   INTEGER NOT NULL,
    body    TEXT NOT NULL,
    PRIMARY KEY (kind, id, version)
) STRICT;

-- AUTOINCREMENT: a sequence is never used again, so that marking an old row cannot hit a new one.
CREATE TABLE outbox (
    sequence      INTEGER PRIMARY KEY AUTOINCREMENT,
    kind          TEXT NOT NULL,
    id            TEXT NOT NULL,
    written_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE relay (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    relay_id TEXT NOT NULL,
    fence    INTEGER NOT NULL,
    until_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE idempotency (
    key           TEXT PRIMARY KEY,
    request_hash  TEXT NOT NULL,
    answer        TEXT NOT NULL,
    expires_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX idempotency_expiry ON idempotency (expires_at_ms);

CREATE TABLE topics (
    topic       TEXT PRIMARY KEY,
    next_offset INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE records (
    topic         TEXT NOT NULL,
    record_offset INTEGER NOT NULL,
    key           TEXT NOT NULL,
    value         BLOB,
    at_ms         INTEGER NOT NULL,
    compacted     INTEGER NOT NULL,
    PRIMARY KEY (topic, record_offset)
) STRICT, WITHOUT ROWID;
CREATE INDEX records_key ON records (topic, key) WHERE compacted = 1;

-- Date '' is the lifetime; its row also holds the limits kept for the campaign. Amounts are nanos.
-- generation -1: the ledger has never heard of limits, and nothing is free.
CREATE TABLE ledger_accounts (
    campaign_id         TEXT NOT NULL,
    date                TEXT NOT NULL,
    start_ms            INTEGER NOT NULL,
    end_ms              INTEGER NOT NULL,
    generation          INTEGER NOT NULL,
    revision            INTEGER NOT NULL,
    daily_limit_nanos   INTEGER,
    limit_nanos         INTEGER,
    spent_nanos         INTEGER NOT NULL CHECK (spent_nanos >= 0),
    pending_nanos       INTEGER NOT NULL CHECK (pending_nanos >= 0),
    leased_nanos        INTEGER NOT NULL CHECK (leased_nanos >= 0),
    over_delivery_nanos INTEGER NOT NULL CHECK (over_delivery_nanos >= 0),
    settled_bids        INTEGER NOT NULL,
    opportunities       INTEGER NOT NULL,
    bids                INTEGER NOT NULL,
    PRIMARY KEY (campaign_id, date)
) STRICT, WITHOUT ROWID;
CREATE INDEX ledger_accounts_end ON ledger_accounts (end_ms) WHERE date <> '';

-- A lease that ended keeps its row, at 0, so that its sequence goes on when it comes again.
CREATE TABLE ledger_leases (
    campaign_id  TEXT NOT NULL,
    date         TEXT NOT NULL,
    bidder_id    TEXT NOT NULL,
    leased_nanos INTEGER NOT NULL CHECK (leased_nanos >= 0),
    sequence     INTEGER NOT NULL,
    expires_ms   INTEGER NOT NULL,
    PRIMARY KEY (campaign_id, date, bidder_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX ledger_leases_due ON ledger_leases (expires_ms) WHERE leased_nanos > 0;

-- What is remembered of a bid. until_ms: the end of a pending win, else when the bid came to this state.
CREATE TABLE ledger_bids (
    bid_id        BLOB PRIMARY KEY,
    campaign_id   TEXT NOT NULL,
    date          TEXT NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('pending', 'unbacked', 'expired', 'settled')),
    pending_nanos INTEGER NOT NULL CHECK (pending_nanos >= 0),
    until_ms      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX ledger_bids_due ON ledger_bids (until_ms) WHERE state = 'pending';
CREATE INDEX ledger_bids_old ON ledger_bids (until_ms) WHERE state <> 'pending';

CREATE TABLE ledger_outbox (
    sequence            INTEGER PRIMARY KEY AUTOINCREMENT,
    bid_id              BLOB NOT NULL UNIQUE,
    campaign_id         TEXT NOT NULL,
    date                TEXT NOT NULL,
    settled_at_ms       INTEGER NOT NULL,
    charge_nanos        INTEGER NOT NULL,
    over_delivery_nanos INTEGER NOT NULL,
    context             TEXT NOT NULL
) STRICT;

CREATE TABLE rollups (
    quarter_start_ms        INTEGER NOT NULL,
    advertiser              TEXT NOT NULL,
    campaign                TEXT NOT NULL,
    creative                TEXT NOT NULL,
    exchange                TEXT NOT NULL,
    deal                    TEXT NOT NULL,
    country                 TEXT NOT NULL,
    device                  TEXT NOT NULL,
    os                      TEXT NOT NULL,
    format                  TEXT NOT NULL,
    size                    TEXT NOT NULL,
    placement               TEXT NOT NULL,
    site_or_bundle          TEXT NOT NULL,
    bids                    INTEGER NOT NULL,
    wins                    INTEGER NOT NULL,
    losses                  INTEGER NOT NULL,
    impressions             INTEGER NOT NULL,
    clicks                  INTEGER NOT NULL,
    video_starts            INTEGER NOT NULL,
    video_completes         INTEGER NOT NULL,
    conversions             INTEGER NOT NULL,
    conversion_value_micros INTEGER NOT NULL,
    spend_nanos             INTEGER NOT NULL,
    media_cost_nanos        INTEGER NOT NULL,
    over_delivery_nanos     INTEGER NOT NULL,
    PRIMARY KEY (quarter_start_ms, advertiser, campaign, creative, exchange, deal, country, device, os, format, size,
        placement, site_or_bundle)
) STRICT, WITHOUT ROWID;

CREATE TABLE report_event_ids (
    event_id      TEXT PRIMARY KEY,
    applied_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX report_event_ids_age ON report_event_ids (applied_at_ms);

CREATE TABLE report_offsets (
    topic       TEXT NOT NULL,
    partition   INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
) STRICT, WITHOUT ROWID;

-- The values of site_or_bundle that a campaign's UTC day has shown so far.
CREATE TABLE report_sites (
    day_start_ms   INTEGER NOT NULL,
    campaign       TEXT NOT NULL,
    site_or_bundle TEXT NOT NULL,
    PRIMARY KEY (day_start_ms, campaign, site_or_bundle)
) STRICT, WITHOUT ROWID;

CREATE TABLE user_counters (
    user_key    TEXT NOT NULL,
    scope_id    TEXT NOT NULL,
    window_ms   INTEGER NOT NULL,
    ends_ms     INTEGER NOT NULL,
    impressions INTEGER NOT NULL,
    PRIMARY KEY (user_key, scope_id, window_ms)
) STRICT, WITHOUT ROWID;
CREATE INDEX user_counters_end ON user_counters (ends_ms);

CREATE TABLE user_event_ids (
    event_id     TEXT PRIMARY KEY,
    forgotten_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX user_event_ids_end ON user_event_ids (forgotten_ms);

CREATE TABLE audience_members (
    user_key    TEXT NOT NULL,
    audience_id TEXT NOT NULL,
    PRIMARY KEY (user_key, audience_id)
) STRICT, WITHOUT ROWID;

INSERT INTO store (one, generation, revision)
VALUES (1, CAST(unixepoch('subsec') * 1000 AS INTEGER), 1);

-- domain::exchange::ExchangeSpec::default() with a name and rates; a test compares.
INSERT INTO documents (kind, id, advertiser_id, parent_id, external_id, name, status, version, created_at_ms,
    updated_at_ms, body)
SELECT 'exchange', 'default', NULL, NULL, NULL, 'default', 'active', 1, generation, generation,
    json_object('id', 'default', 'name', 'default', 'status', 'active', 'currency', 'USD', 'auction_type', 2,
        'billing', 'notice', 'price_form', json_object('kind', 'plain'), 'win_notice_delay_ms', 5000,
        'billing_window_ms', json_object('web', 60000, 'app', 600000, 'interstitial', 3600000),
        'wants_no_bid_reason', json('false'),
        'usd_rates_e9', json_object('AUD', 660000000, 'BRL', 180000000, 'CAD', 720000000, 'CHF', 1130000000,
            'CNY', 139000000, 'EUR', 1080000000, 'GBP', 1270000000, 'INR', 11900000, 'JPY', 6700000,
            'KRW', 730000, 'MXN', 55000000),
        'created_at', strftime('%Y-%m-%dT%H:%M:%fZ', generation / 1000.0, 'unixepoch'),
        'updated_at', strftime('%Y-%m-%dT%H:%M:%fZ', generation / 1000.0, 'unixepoch'))
FROM store;

INSERT INTO document_history (kind, id, version, actor, at_ms, body)
SELECT kind, id, version, 'system', created_at_ms, body FROM documents;

INSERT INTO outbox (kind, id, written_at_ms) SELECT 'exchange', 'default', generation FROM store;
