-- Text is compared byte by byte (COLLATE "C"): the order of a page is the same on every server, and an upgrade of the
-- operating system's collations cannot corrupt an index. Documents are TEXT, not JSONB: what was written reads back as written.

CREATE TABLE store (
    one        SMALLINT PRIMARY KEY CHECK (one = 1),
    -- Unix milliseconds of its creation: a store made anew has a higher one than the store it replaces.
    generation BIGINT NOT NULL,
    -- Raised by each write under the row's lock, held until the commit: revisions become visible in their order.
    revision   BIGINT NOT NULL
) WITH (fillfactor = 10);

CREATE TABLE documents (
    kind          TEXT COLLATE "C" NOT NULL,
    id            TEXT COLLATE "C" NOT NULL,
    advertiser_id TEXT COLLATE "C",
    parent_id     TEXT COLLATE "C",
    external_id   TEXT COLLATE "C",
    name          TEXT COLLATE "C" NOT NULL,
    status        TEXT COLLATE "C" NOT NULL,
    version       BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    body          TEXT NOT NULL,
    PRIMARY KEY (kind, id)
);

CREATE UNIQUE INDEX documents_external_id ON documents (kind, coalesce(advertiser_id, ''), external_id)
    WHERE external_id IS NOT NULL AND status <> 'archived';
CREATE INDEX documents_created ON documents (kind, created_at_ms, id);
CREATE INDEX documents_updated ON documents (kind, updated_at_ms, id);
CREATE INDEX documents_name ON documents (kind, name, id);
CREATE INDEX documents_advertiser ON documents (kind, advertiser_id, created_at_ms, id);
CREATE INDEX documents_parent ON documents (kind, parent_id, created_at_ms, id);

CREATE TABLE document_history (
    kind    TEXT COLLATE "C" NOT NULL,
    id      TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    actor   TEXT NOT NULL,
    at_ms   BIGINT NOT NULL,
    body    TEXT NOT NULL,
    PRIMARY KEY (kind, id, version)
);

-- Rows are written under the lock of `store`, so that sequences are in order of commit.
CREATE TABLE outbox (
    sequence      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind          TEXT COLLATE "C" NOT NULL,
    id            TEXT COLLATE "C" NOT NULL,
    written_at_ms BIGINT NOT NULL
);

CREATE TABLE relay (
    one      SMALLINT PRIMARY KEY CHECK (one = 1),
    relay_id TEXT COLLATE "C" NOT NULL,
    fence    BIGINT NOT NULL,
    until_ms BIGINT NOT NULL
);

CREATE TABLE idempotency (
    key           TEXT COLLATE "C" PRIMARY KEY,
    request_hash  TEXT NOT NULL,
    answer        TEXT NOT NULL,
    expires_at_ms BIGINT NOT NULL
);
CREATE INDEX idempotency_expiry ON idempotency (expires_at_ms);

-- One partition a UTC day, attached before the day's first row comes (rollup_days.rs). Partitions inherit the key.
CREATE TABLE rollups (
    quarter_start_ms        BIGINT NOT NULL,
    advertiser              TEXT COLLATE "C" NOT NULL,
    campaign                TEXT COLLATE "C" NOT NULL,
    creative                TEXT COLLATE "C" NOT NULL,
    exchange                TEXT COLLATE "C" NOT NULL,
    deal                    TEXT COLLATE "C" NOT NULL,
    country                 TEXT COLLATE "C" NOT NULL,
    device                  TEXT COLLATE "C" NOT NULL,
    os                      TEXT COLLATE "C" NOT NULL,
    format                  TEXT COLLATE "C" NOT NULL,
    size                    TEXT COLLATE "C" NOT NULL,
    placement               TEXT COLLATE "C" NOT NULL,
    site_or_bundle          TEXT COLLATE "C" NOT NULL,
    bids                    BIGINT NOT NULL,
    wins                    BIGINT NOT NULL,
    losses                  BIGINT NOT NULL,
    impressions             BIGINT NOT NULL,
    clicks                  BIGINT NOT NULL,
    video_starts            BIGINT NOT NULL,
    video_completes         BIGINT NOT NULL,
    conversions             BIGINT NOT NULL,
    conversion_value_micros BIGINT NOT NULL,
    spend_nanos             BIGINT NOT NULL,
    media_cost_nanos        BIGINT NOT NULL,
    over_delivery_nanos     BIGINT NOT NULL,
    PRIMARY KEY (quarter_start_ms, advertiser, campaign, creative, exchange, deal, country, device, os, format, size,
        placement, site_or_bundle)
) PARTITION BY RANGE (quarter_start_ms);

CREATE TABLE report_event_ids (
    event_id      TEXT COLLATE "C" PRIMARY KEY,
    applied_at_ms BIGINT NOT NULL
);
CREATE INDEX report_event_ids_age ON report_event_ids (applied_at_ms);

CREATE TABLE report_offsets (
    topic       TEXT COLLATE "C" NOT NULL,
    partition   BIGINT NOT NULL,
    next_offset BIGINT NOT NULL,
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);

-- The values of site_or_bundle that a campaign's UTC day has shown so far, and how many they are: the count's row is
-- the lock under which readers of several topic partitions admit new ones.
CREATE TABLE report_sites (
    day_start_ms   BIGINT NOT NULL,
    campaign       TEXT COLLATE "C" NOT NULL,
    site_or_bundle TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (day_start_ms, campaign, site_or_bundle)
);
CREATE TABLE report_site_counts (
    day_start_ms BIGINT NOT NULL,
    campaign     TEXT COLLATE "C" NOT NULL,
    sites        BIGINT NOT NULL,
    PRIMARY KEY (day_start_ms, campaign)
);

INSERT INTO store (one, generation, revision)
VALUES (1, (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT, 1);

-- domain::exchange::ExchangeSpec::default() with a name and rates; a test compares.
INSERT INTO documents (kind, id, advertiser_id, parent_id, external_id, name, status, version, created_at_ms,
    updated_at_ms, body)
SELECT 'exchange', 'default', NULL, NULL, NULL, 'default', 'active', 1, generation, generation,
    json_build_object('id', 'default', 'name', 'default', 'status', 'active', 'currency', 'USD', 'auction_type', 2,
        'billing', 'notice', 'price_form', json_build_object('kind', 'plain'), 'win_notice_delay_ms', 5000,
        'billing_window_ms', json_build_object('web', 60000, 'app', 600000, 'interstitial', 3600000),
        'wants_no_bid_reason', false,
        'usd_rates_e9', json_build_object('AUD', 660000000, 'BRL', 180000000, 'CAD', 720000000, 'CHF', 1130000000,
            'CNY', 139000000, 'EUR', 1080000000, 'GBP', 1270000000, 'INR', 11900000, 'JPY', 6700000,
            'KRW', 730000, 'MXN', 55000000),
        'created_at', to_char(to_timestamp(generation / 1000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
        'updated_at', to_char(to_timestamp(generation / 1000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
    )::TEXT
FROM store;

INSERT INTO document_history (kind, id, version, actor, at_ms, body)
SELECT kind, id, version, 'system', created_at_ms, body FROM documents;

INSERT INTO outbox (kind, id, written_at_ms) SELECT 'exchange', 'default', generation FROM store;
