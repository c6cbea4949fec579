//! SQLite over the raw events. Shares nothing with the fold: times, repeats and nulls are SQL's.

use std::collections::{BTreeMap, BTreeSet};

use catalog::Plan;
use rusqlite::{Connection, params};

pub(crate) struct Oracle(Connection);

/// What the features of one entity are over one window.
pub(crate) struct Row {
    pub(crate) departures: i64,
    pub(crate) delay: f64,
    pub(crate) worst_delay: i64,
    pub(crate) delay_p90: f64,
    pub(crate) late_share: f64,
    pub(crate) miles: f64,
    pub(crate) destinations: i64,
}

impl Oracle {
    /// Of events that keep the contract; cancelled and repeated ones may be among them.
    pub(crate) fn new(events: impl Iterator<Item = String>) -> Self {
        let mut sql = Connection::open_in_memory().unwrap();
        sql.execute_batch("CREATE TABLE raw (event TEXT)").unwrap();
        let load = sql.transaction().unwrap();
        for event in events {
            load.execute("INSERT INTO raw VALUES (?)", [event]).unwrap();
        }
        load.commit().unwrap();
        sql.execute_batch(
            "CREATE TABLE departures AS
             SELECT CAST(strftime('%s', event ->> 'departed_at') AS INTEGER) * 1000 AS at_ms,
                    event ->> 'tailnum' AS tailnum, event ->> 'carrier' AS carrier,
                    event ->> 'origin' AS origin, event ->> 'dest' AS dest,
                    event ->> 'distance' AS distance, event ->> 'dep_delay' AS dep_delay
             FROM raw WHERE event ->> 'departed_at' IS NOT NULL GROUP BY event ->> 'event_id';
             CREATE INDEX departures_by_time ON departures (at_ms);",
        )
        .unwrap();
        Self(sql)
    }

    /// The features over `[from_ms, until_ms)`, by entity.
    pub(crate) fn window(&self, plan: &Plan, from_ms: i64, until_ms: i64) -> BTreeMap<String, Row> {
        let key = key_of(plan);
        let query = format!(
            "WITH cut AS (
               SELECT *, {key} AS key, count(*) OVER (PARTITION BY {key}) AS n,
                      row_number() OVER (PARTITION BY {key} ORDER BY dep_delay) - 1 AS rank
               FROM departures WHERE at_ms >= ?1 AND at_ms < ?2 AND {key} IS NOT NULL)
             SELECT key, count(*), avg(dep_delay), max(dep_delay),
                    max(CASE WHEN rank = CAST(0.9 * (n - 1) AS INTEGER) THEN dep_delay END),
                    avg(dep_delay > 15), sum(distance), count(DISTINCT dest)
             FROM cut GROUP BY key"
        );
        let mut query = self.0.prepare_cached(&query).unwrap();
        let rows = query.query_map(params![from_ms, until_ms], |row| {
            let features = Row {
                departures: row.get(1)?,
                delay: row.get(2)?,
                worst_delay: row.get(3)?,
                delay_p90: row.get::<_, i64>(4)? as f64,
                late_share: row.get(5)?,
                miles: row.get::<_, i64>(6)? as f64,
                destinations: row.get(7)?,
            };
            Ok((row.get(0)?, features))
        });
        rows.unwrap().map(Result::unwrap).collect()
    }

    /// Where each entity went last; more than one place if it left for them in the same minute.
    pub(crate) fn last(&self, plan: &Plan) -> BTreeMap<String, BTreeSet<String>> {
        let key = key_of(plan);
        let query = format!(
            "SELECT DISTINCT key, dest FROM (
               SELECT {key} AS key, dest, at_ms, max(at_ms) OVER (PARTITION BY {key}) AS last_ms
               FROM departures WHERE {key} IS NOT NULL)
             WHERE at_ms = last_ms"
        );
        let mut query = self.0.prepare(&query).unwrap();
        let mut last: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for row in query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap() {
            let (key, dest) = row.unwrap();
            last.entry(key).or_default().insert(dest);
        }
        last
    }
}

fn key_of(plan: &Plan) -> String {
    plan.entity.join_keys.join(" || '/' || ")
}
