//! `routes`: where a region's gateway sends reads at this moment, and why.

use std::collections::BTreeMap;

use api::v1::{Route, RoutesRequest, RoutesResponse};
use serde_json::{Value as Json, json};

use crate::cli::RoutesArgs;
use crate::client::{self, request};
use crate::error::Result;
use crate::mesh::Mesh;
use crate::out;

/// A lag, when there is nothing at all of a region that others have something of.
const NOTHING: i64 = i64::MAX;

/// Asks one gateway, or all of them, and prints.
///
/// # Errors
/// No mesh runs here, there is no such region, or its gateway does not answer.
pub(super) async fn run(args: &RoutesArgs) -> Result<()> {
    let mesh = Mesh::running(&args.mesh.data)?;
    let of: Vec<&String> = match &args.region {
        Some(region) => vec![region],
        None => mesh.regions.keys().collect(),
    };
    let mut tables = Vec::new();
    for region in of {
        tables.push(ask(&mesh, region).await?);
    }
    if args.json {
        let tables: serde_json::Map<String, Json> =
            tables.iter().map(|table| (table.region.clone(), as_json(table))).collect();
        out::json(&Json::Object(tables));
    } else {
        tables.iter().for_each(print);
    }
    Ok(())
}

async fn ask(mesh: &Mesh, region: &str) -> Result<RoutesResponse> {
    let mut gateway = client::gateway(mesh, region).await?;
    let failed = gateway.failed();
    Ok(gateway.client.routes(request(RoutesRequest {})).await.map_err(failed)?.into_inner())
}

fn print(table: &RoutesResponse) {
    out::line(format!(
        "from {}: {} of {} requests under way, {} waiting",
        table.region, table.in_flight, table.limit, table.waiting
    ));
    let head = ["", "region", "round trip", "reads", "breaker", "heard", "furthest behind", "why"];
    let mut rows = out::table(head);
    out::right(&mut rows, &[2, 3]);
    for route in &table.routes {
        rows.add_row([
            if route.home { "→" } else { "" }.to_owned(),
            route.region.clone(),
            route.round_trip_us.map_or_else(|| "?".into(), |us| format!("{:.1} ms", us / 1e3)),
            route.outstanding.to_string(),
            breaker(route),
            route.heard_ms.map_or_else(|| "lost".into(), |ms| format!("{ms} ms ago")),
            behind(route),
            why(route),
        ]);
    }
    out::line(rows.to_string());
}

fn breaker(route: &Route) -> String {
    match route.failures {
        0 => route.breaker.clone(),
        failures => format!("{} ({failures} failed)", route.breaker),
    }
}

/// The origin in which it lags its peers the most.
fn behind(route: &Route) -> String {
    let furthest =
        route.lags_ms.iter().max_by_key(|(region, ms)| (**ms, std::cmp::Reverse(*region)));
    match furthest {
        Some((region, &NOTHING)) => format!("has nothing of {region}"),
        Some((region, ms)) if *ms > 0 => format!("{region} by {}", out::age(*ms)),
        _ => "–".into(),
    }
}

fn why(route: &Route) -> String {
    match route.share_percent {
        share if route.home && share < 100 => format!("{}; back, with {share} %", route.standing),
        _ if route.home => format!("{}; reads go here", route.standing),
        _ => route.standing.clone(),
    }
}

fn as_json(table: &RoutesResponse) -> Json {
    let route = |route: &Route| {
        let lag =
            |(region, ms): (&String, &i64)| (region.clone(), Some(*ms).filter(|ms| *ms != NOTHING));
        let lags: BTreeMap<String, Option<i64>> = route.lags_ms.iter().map(lag).collect();
        json!({
            "region": route.region,
            "home": route.home,
            "standing": route.standing,
            "breaker": route.breaker,
            "failures": route.failures,
            "round_trip_us": route.round_trip_us,
            "outstanding": route.outstanding,
            "share_percent": route.share_percent,
            "heard_ms": route.heard_ms,
            "lags_ms": lags,
        })
    };
    json!({
        "in_flight": table.in_flight,
        "limit": table.limit,
        "waiting": table.waiting,
        "routes": table.routes.iter().map(route).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_where_reads_go_and_what_is_wrong() {
        let route = Route {
            home: true,
            standing: "fit".into(),
            breaker: "closed".into(),
            failures: 2,
            share_percent: 10,
            lags_ms: [("jfk".to_owned(), 3_100), ("ewr".to_owned(), 20)].into(),
            ..Route::default()
        };
        assert_eq!(why(&route), "fit; back, with 10 %");
        assert_eq!(breaker(&route), "closed (2 failed)");
        assert_eq!(behind(&route), "jfk by 3.1 s");
        assert_eq!(behind(&Route::default()), "–");
        let lags_ms = [("jfk".to_owned(), NOTHING), ("ewr".to_owned(), 20)].into();
        assert_eq!(behind(&Route { lags_ms, ..Route::default() }), "has nothing of jfk");
    }
}
