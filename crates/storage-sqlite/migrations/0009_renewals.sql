-- The number of a lease's last renewal: one with a lower number was overtaken on its way.
ALTER TABLE ledger_leases ADD COLUMN renewal INTEGER NOT NULL DEFAULT 0;
