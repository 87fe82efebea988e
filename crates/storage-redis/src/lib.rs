//! The spend ledger and user states on Redis, a single node or a Cluster.
