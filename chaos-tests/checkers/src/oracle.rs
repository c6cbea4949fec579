//! SQL is the oracle: `event_time >= as_of - window AND event_time < as_of` over the raw events.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, params};
use serde_json::Value;

/// Which entity's features.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Key {
    /// By `tailnum`.
    Plane,
    /// By `carrier`.
    Carrier,
    /// By `origin`.
    Airport,
}

impl Key {
    /// The column, which is the join key too.
    #[must_use]
    pub fn column(self) -> &'static str {
        match self {
            Self::Plane => "tailnum",
            Self::Carrier => "carrier",
            Self::Airport => "origin",
        }
    }
}

/// The features of one entity over one window, as SQL has them.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Expected {
    /// `count(*)`.
    pub departures: i64,
    /// `avg(dep_delay)`.
    pub delay: Option<f64>,
    /// `max(dep_delay)`.
    pub worst_delay: Option<i64>,
    /// The delay at rank floor(0.9 (n - 1)).
    pub delay_p90: Option<f64>,
    /// Share of `dep_delay > 15`.
    pub late_share: Option<f64>,
    /// `sum(distance)`.
    pub miles: Option<f64>,
    /// `count(distinct dest)`.
    pub destinations: i64,
}

/// Raw departures in SQLite.
pub struct Oracle {
    db: Connection,
}

impl Oracle {
    /// Loads raw lines of all regions. Cancelled flights have no `departed_at` and are left out, as
    /// no window can hold them.
    #[must_use]
    pub fn load<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let mut db = Connection::open_in_memory().expect("SQLite");
        db.execute_batch(
            "CREATE TABLE departures (at TEXT NOT NULL, tailnum TEXT, carrier TEXT NOT NULL,
             origin TEXT NOT NULL, dest TEXT NOT NULL, dep_delay INTEGER NOT NULL, distance REAL NOT NULL)",
        )
        .expect("a table");
        let insert = db.transaction().expect("a transaction");
        {
            let sql = "INSERT INTO departures VALUES (datetime(?1), ?2, ?3, ?4, ?5, ?6, ?7)";
            let mut row = insert.prepare(sql).expect("an insert");
            for line in lines {
                let event: Value = serde_json::from_str(line).expect("a raw event is JSON");
                let Some(at) = event["departed_at"].as_str() else { continue };
                let text = |name: &str| event[name].as_str();
                let (delay, miles) = (event["dep_delay"].as_i64(), event["distance"].as_f64());
                let values = params![
                    at,
                    text("tailnum"),
                    text("carrier"),
                    text("origin"),
                    text("dest"),
                    delay,
                    miles
                ];
                row.execute(values).expect("a row");
            }
        }
        insert.commit().expect("a commit");
        db.execute_batch("CREATE INDEX by_time ON departures (at)").expect("an index");
        Self { db }
    }

    /// Every entity that departed before `as_of` at all (ISO 8601, whole seconds, UTC).
    #[must_use]
    pub fn known(&self, key: Key, as_of: &str) -> BTreeSet<String> {
        let column = key.column();
        let sql = format!(
            "SELECT DISTINCT {column} FROM departures WHERE {column} IS NOT NULL AND at < datetime(?1)"
        );
        let mut query = self.db.prepare(&sql).expect("a query");
        let rows = query.query_map([as_of], |row| row.get(0)).expect("rows");
        rows.map(|row| row.expect("a key")).collect()
    }

    /// The features of every entity with an event in the window of `hours` before `as_of`.
    #[must_use]
    pub fn window(&self, key: Key, as_of: &str, hours: u32) -> BTreeMap<String, Expected> {
        let column = key.column();
        let span = format!(
            "{column} IS NOT NULL AND at >= datetime(?1, '-{hours} hours') AND at < datetime(?1)"
        );
        let sql = format!(
            "SELECT {column}, count(*), avg(dep_delay), max(dep_delay), avg(dep_delay > 15),
             sum(distance), count(DISTINCT dest) FROM departures WHERE {span} GROUP BY {column}"
        );
        let mut query = self.db.prepare(&sql).expect("a query");
        let rows = query.query_map([as_of], |row| {
            let expected = Expected {
                departures: row.get(1)?,
                delay: row.get(2)?,
                worst_delay: row.get(3)?,
                delay_p90: None,
                late_share: row.get(4)?,
                miles: row.get(5)?,
                destinations: row.get(6)?,
            };
            Ok((row.get(0)?, expected))
        });
        let mut all: BTreeMap<String, Expected> =
            rows.expect("rows").map(|row| row.expect("a row")).collect();
        for (entity, delay_p90) in self.p90(column, &span, as_of) {
            all.entry(entity).or_default().delay_p90 = Some(delay_p90);
        }
        all
    }

    fn p90(&self, column: &str, span: &str, as_of: &str) -> BTreeMap<String, f64> {
        let sql = format!(
            "SELECT {column}, dep_delay FROM (SELECT {column}, dep_delay,
             row_number() OVER (PARTITION BY {column} ORDER BY dep_delay) - 1 AS rank,
             count(*) OVER (PARTITION BY {column}) AS n FROM departures WHERE {span})
             WHERE rank = CAST(0.9 * (n - 1) AS INTEGER)"
        );
        let mut query = self.db.prepare(&sql).expect("a query");
        let rows = query.query_map([as_of], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.expect("rows").map(|row| row.expect("a row")).collect()
    }

    /// Every destination that may be an entity's last: those of its latest departure (more than one
    /// when the time is tied).
    #[must_use]
    pub fn last_destinations(&self, key: Key) -> BTreeMap<String, BTreeSet<String>> {
        let column = key.column();
        let sql = format!(
            "SELECT {column}, dest FROM departures AS d WHERE {column} IS NOT NULL AND at =
             (SELECT max(at) FROM departures AS l WHERE l.{column} = d.{column})"
        );
        self.db
            .execute_batch(&format!(
                "CREATE INDEX IF NOT EXISTS by_{column} ON departures ({column}, at)"
            ))
            .expect("an index");
        let mut query = self.db.prepare(&sql).expect("a query");
        let rows =
            query.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)));
        let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for row in rows.expect("rows") {
            let (entity, dest) = row.expect("a row");
            all.entry(entity).or_default().insert(dest);
        }
        all
    }
}

/// How a feature's value differs from what SQL says; `None`: as little as was promised.
/// `name` is the feature without its window; `value` as JSON, null for a null.
#[must_use]
pub fn difference(name: &str, value: &Value, expected: &Expected) -> Option<String> {
    let fine = match name {
        "departures" => value.as_i64() == Some(expected.departures),
        "destinations" => value.as_i64() == Some(expected.destinations),
        "worst_delay" => value.as_i64() == expected.worst_delay,
        "miles" => value.as_f64() == expected.miles,
        "delay" => close(value.as_f64(), expected.delay, 1e-9),
        "late_share" => close(value.as_f64(), expected.late_share, 1e-9),
        "delay_p90" => close(value.as_f64(), expected.delay_p90, 0.01),
        other => panic!("the oracle does not know {other}"),
    };
    (!fine).then(|| format!("{name} is {value}, and SQL says {expected:?}"))
}

fn close(value: Option<f64>, expected: Option<f64>, relative: f64) -> bool {
    match (value, expected) {
        (Some(value), Some(expected)) => {
            (value - expected).abs() <= relative * expected.abs() + f64::EPSILON
        }
        (value, expected) => value.is_none() && expected.is_none(),
    }
}
