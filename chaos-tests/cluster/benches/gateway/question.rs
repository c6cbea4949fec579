//! What is asked: five features of a plane, or of a hundred, over its last day.

use api::GetFeaturesResponse;
use api::v1::mesh_client::MeshClient;
use api::v1::value::Kind;
use api::v1::{GetFeaturesRequest, ReadOptions, Value, ValueList};
use bytes::Bytes;
use checkers::flights::REGIONS;
use clock::Env;
use cluster::Mesh;
use prost::Message;
use serde_json::json;

use crate::cases::Region;
use crate::echo::Answers;

const PLANES: usize = 200;
pub(crate) const BATCH: usize = 100;
/// In the last 24 hours.
const DEPARTURES: i64 = 12;
const VIEW: &str = "plane_delays";
const FEATURES: [&str; 5] =
    ["departures_24h", "delay_24h", "worst_delay_24h", "late_share_24h", "miles_24h"];
/// Of who is content with an answer that was given before.
const STALENESS_MS: i64 = 3_600_000;

/// A day of departures, from all three regions.
pub(crate) fn fill(mesh: &mut Mesh) {
    let now_ms = clock::SystemEnv.now_ms();
    for (region, airport) in REGIONS.iter().zip(["EWR", "JFK", "LGA"]) {
        let mut lines = String::new();
        for n in 0..DEPARTURES / REGIONS.len() as i64 {
            for plane in 0..PLANES {
                let at_ms = now_ms - n * 5 * 3_600_000 - plane as i64 * 1_000;
                let event = json!({
                    "event_id": format!("{airport}-{plane}-{n}"),
                    "departed_at": clock::format_timestamp(at_ms),
                    "tailnum": tailnum(plane), "carrier": "B6", "origin": airport, "dest": "BOS",
                    "distance": 200.0, "dep_delay": (plane as i64 + n) % 40,
                });
                lines += &format!("{event}\n");
            }
        }
        let file = mesh.data().join(format!("{region}.jsonl"));
        std::fs::write(&file, lines).expect("a file");
        mesh.run(&["ingest", "departures", file.to_str().expect("a path"), "--region", region]);
    }
    mesh.wait_until_equal();
}

fn tailnum(plane: usize) -> String {
    format!("N{plane:03}JB")
}

fn request(planes: &[usize], cached: bool) -> GetFeaturesRequest {
    let value = |plane: &usize| Value { kind: Some(Kind::StringValue(tailnum(*plane))) };
    let values = planes.iter().map(value).collect();
    GetFeaturesRequest {
        features: FEATURES.iter().map(|feature| format!("{VIEW}:{feature}")).collect(),
        entities: [("tailnum".to_owned(), ValueList { values })].into(),
        options: cached
            .then(|| ReadOptions { max_staleness_ms: Some(STALENESS_MS), ..Default::default() }),
        ..Default::default()
    }
}

/// Requests of `rows` rows, all different.
fn planes(rows: usize) -> impl Iterator<Item = Vec<usize>> {
    (0..PLANES).map(move |first| (first..first + rows).map(|plane| plane % PLANES).collect())
}

pub(crate) fn grpc(rows: usize, cached: bool) -> Vec<Bytes> {
    planes(rows).map(|planes| request(&planes, cached).encode_to_vec().into()).collect()
}

pub(crate) fn json(rows: usize, cached: bool) -> Vec<Bytes> {
    let body = |planes: Vec<usize>| {
        let mut body = json!({
            "features": FEATURES.map(|feature| format!("{VIEW}:{feature}")),
            "entities": {"tailnum": planes.into_iter().map(tailnum).collect::<Vec<_>>()},
        });
        if cached {
            body["mesh"] = json!({ "max_staleness_ms": STALENESS_MS });
        }
        body.to_string().into()
    };
    planes(rows).map(body).collect()
}

/// What the region answers, for the empty servers to answer too.
pub(crate) async fn answers(region: &Region) -> Answers {
    let client = &MeshClient::connect(region.grpc.clone()).await.expect("a connection");
    let read = async |rows: usize, cached: bool| {
        let planes: Vec<usize> = (0..rows).collect();
        let answer = client.clone().get_features(request(&planes, cached)).await;
        answer.expect("an answer").into_inner()
    };
    let (one, batch) = (read(1, false).await, read(BATCH, false).await);
    assert_eq!((route(&one), present(&one)), ("local", 5));
    assert_eq!((route(&batch), present(&batch)), ("local", 5 * BATCH));
    read(1, true).await;
    assert_eq!(route(&read(1, true).await), "cache");
    let body = json(1, false)[0].clone();
    let url = format!("{}/get-online-features", region.http);
    let mut answer = ureq::post(url).send(&body[..]).expect("an answer");
    let json = answer.body_mut().read_to_vec().expect("a body").into();
    Answers { one, batch, json }
}

fn route(answer: &GetFeaturesResponse) -> &str {
    answer.mesh.as_ref().map_or("", |mesh| &mesh.route)
}

fn present(answer: &GetFeaturesResponse) -> usize {
    let columns = answer.columns().expect("columns").into_iter().skip(1);
    columns.flat_map(|column| column.values).filter(|value| value.kind.is_some()).count()
}
