-- What each campaign's events of topic spend came to, by day, as the events' offsets in report_offsets say: the source of
-- topic ledger_checkpoints. Date '' is the lifetime. `changed` is the transaction that changed it last: what is not
-- visible yet is not below the oldest transaction that is still running.
CREATE TABLE ledger_spend (
    campaign_id         TEXT COLLATE "C" NOT NULL,
    date                TEXT COLLATE "C" NOT NULL,
    advertiser_id       TEXT COLLATE "C" NOT NULL,
    start_ms            BIGINT NOT NULL,
    end_ms              BIGINT NOT NULL,
    spent_nanos         BIGINT NOT NULL,
    over_delivery_nanos BIGINT NOT NULL,
    settled_bids        BIGINT NOT NULL,
    changed             XID8 NOT NULL,
    PRIMARY KEY (campaign_id, date)
) WITH (fillfactor = 70);
CREATE INDEX ledger_spend_changed ON ledger_spend (changed) WHERE date = '';
CREATE INDEX ledger_spend_end ON ledger_spend (end_ms) WHERE date <> '';

-- Records of the event topics that cannot be understood, the latest of them.
CREATE TABLE report_set_aside (
    sequence      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic         TEXT COLLATE "C" NOT NULL,
    partition     BIGINT NOT NULL,
    record_offset BIGINT NOT NULL,
    reason        TEXT NOT NULL,
    value         BYTEA NOT NULL,
    at_ms         BIGINT NOT NULL
);
