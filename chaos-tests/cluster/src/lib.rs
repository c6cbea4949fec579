//! Real processes: the SQL oracle over HTTP, kills, digests.
