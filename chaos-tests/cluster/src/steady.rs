//! Clients that read and push at a steady rate beside whatever a test does to the mesh, for as long
//! as it does. Each holds a list of gateways, as a name server gives it: when one does not answer at
//! all, the next is asked, once each; one that refuses has answered.

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use api::v1::mesh_client::MeshClient;
use api::v1::value::Kind;
use api::v1::{GetFeaturesRequest, Value, ValueList};
use checkers::flights::REGIONS;
use serde_json::{Value as Json, json};
use testkit::within;
use tonic::transport::{Channel, Endpoint};

use crate::mesh::Mesh;

/// Between two requests of a client.
const PAUSE: Duration = Duration::from_millis(50);
/// A request that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);
/// The plane whose departures are pushed.
const PLANE: &str = "N1STEADY";

/// Clients at work, one of each kind in every region.
pub struct Steady {
    over: Arc<AtomicBool>,
    reads: Vec<JoinHandle<Tally>>,
    pushes: Vec<JoinHandle<Tally>>,
}

/// What became of the requests of one kind.
#[derive(Debug, Default)]
pub struct Tally {
    /// Answered as they should be.
    pub answered: u64,
    /// By another gateway than the first, which was not there.
    pub rerouted: u64,
    /// Sent again to the same gateway, as it had asked for.
    pub repeated: u64,
    /// The others.
    pub failures: Vec<String>,
}

/// One answer, or why there is none, and whether that is because nobody is there.
type Asked = Result<(), (String, bool)>;

impl Mesh {
    /// Starts a client that reads and one that pushes in every region, and waits until all have been
    /// answered.
    pub fn steady(&mut self) -> Steady {
        let over = Arc::new(AtomicBool::new(false));
        let (mut reads, mut pushes) = (Vec::new(), Vec::new());
        for (at, region) in REGIONS.into_iter().enumerate() {
            let urls = |kind: &str| -> Vec<String> {
                let mesh = self.describe().expect("mesh.json");
                let order = REGIONS.iter().cycle().skip(at).take(REGIONS.len());
                let gateways = order.map(|region| &mesh["regions"][*region]["gateway"]);
                gateways.map(|of| of[kind].as_str().expect("an address").to_owned()).collect()
            };
            let (grpc, http) = (urls("grpc"), urls("http"));
            let until = over.clone();
            reads.push(std::thread::spawn(move || read(&grpc, &until)));
            let until = over.clone();
            pushes.push(std::thread::spawn(move || push(&http, region, &until)));
        }
        let steady = Steady { over, reads, pushes };
        self.wait_until("pushes are read", |mesh| mesh.pushed().is_some_and(|count| count > 10));
        steady
    }

    /// How many pushes of these clients count, as the first region sees it.
    #[must_use]
    pub fn pushed(&self) -> Option<u64> {
        let body = json!({"entities": {"tailnum": [PLANE]},
                          "features": ["plane_delays:departures_30d"],
                          "mesh": {"as_of": "2013-02-10T00:00:00Z"}});
        let (status, answer) = self.post(REGIONS[0], "/get-online-features", &body)?;
        let values = &answer["results"].as_array()?.last()?["values"];
        values[0].as_u64().filter(|_| status == 200)
    }
}

impl Steady {
    /// Ends them; what became of the reads, and of the pushes.
    #[must_use]
    pub fn end(self) -> (Tally, Tally) {
        self.over.store(true, Ordering::Relaxed);
        let sum = |clients: Vec<JoinHandle<Tally>>| {
            clients.into_iter().fold(Tally::default(), |mut sum, client| {
                let of = client.join().expect("a client does not panic");
                sum.answered += of.answered;
                sum.rerouted += of.rerouted;
                sum.repeated += of.repeated;
                sum.failures.extend(of.failures);
                sum
            })
        };
        (sum(self.reads), sum(self.pushes))
    }
}

impl Tally {
    /// Asks one gateway after the other, until one answers.
    fn ask<G>(&mut self, gateways: &[G], mut ask: impl FnMut(&G) -> Asked) {
        let mut reasons = Vec::new();
        for (at, gateway) in gateways.iter().enumerate() {
            match ask(gateway) {
                Ok(()) => {
                    self.answered += 1;
                    self.rerouted += u64::from(at > 0);
                    return;
                }
                Err((reason, gone)) => reasons.push((reason, gone)),
            }
            if reasons.last().is_some_and(|(_, gone)| !gone) {
                break;
            }
        }
        self.failures.push(format!("{reasons:?}"));
    }
}

/// Over gRPC.
fn read(gateways: &[String], over: &AtomicBool) -> Tally {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let client = |url: &String| {
        let _inside = runtime.enter();
        let endpoint = Endpoint::from_shared(url.clone()).expect("an address");
        MeshClient::new(endpoint.connect_timeout(Duration::from_millis(500)).connect_lazy())
    };
    let gateways: Vec<MeshClient<Channel>> = gateways.iter().map(client).collect();
    let plane = Value { kind: Some(Kind::StringValue(PLANE.to_owned())) };
    let entities = HashMap::from([("tailnum".into(), ValueList { values: vec![plane] })]);
    let features = vec!["plane_delays:delay_24h".to_owned()];
    let like = GetFeaturesRequest { entities, features, ..GetFeaturesRequest::default() };
    let mut tally = Tally::default();
    while !within(PAUSE, || over.load(Ordering::Relaxed)) {
        tally.ask(&gateways, |gateway| {
            let mut request = tonic::Request::new(like.clone());
            request.set_timeout(PATIENCE);
            let answer = runtime.block_on(gateway.clone().get_features(request));
            // What the transport says has a cause, what a gateway says has none.
            answer.map(|_| ()).map_err(|status| (status.to_string(), status.source().is_some()))
        });
    }
    tally
}

/// Over HTTP, each push with an id of its own: what a region refuses because it is down may be pushed
/// again there, and counts once.
fn push(gateways: &[String], region: &str, over: &AtomicBool) -> Tally {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        .build();
    let agent: ureq::Agent = config.into();
    let mut tally = Tally::default();
    for n in 0_u64.. {
        if within(PAUSE, || over.load(Ordering::Relaxed)) {
            break;
        }
        let id = format!("{region}-{n}");
        let frame = json!({"event_id": [id], "departed_at": ["2013-02-01T00:00:00Z"],
                           "tailnum": [PLANE], "carrier": ["B6"], "origin": ["JFK"],
                           "dest": ["BOS"], "distance": [187.0], "dep_delay": [3]});
        let body = json!({"push_source_name": "departures", "df": frame});
        let mut repeated = 0;
        tally.ask(gateways, |gateway| {
            let (mut sent, mut answer) = (0, None);
            within(PATIENCE, || {
                answer = push_once(&agent, gateway, &body);
                sent += 1;
                answer.is_some()
            });
            repeated += sent - 1;
            answer.unwrap_or_else(|| Err((format!("refused for {PATIENCE:?}"), false)))
        });
        tally.repeated += repeated;
    }
    tally
}

/// `None`: refused for now, to be sent again.
fn push_once(agent: &ureq::Agent, gateway: &str, body: &Json) -> Option<Asked> {
    let gone = |error: &ureq::Error| !matches!(error, ureq::Error::Timeout(_));
    let mut answer = match agent.post(format!("{gateway}/push")).send_json(body) {
        Ok(answer) => answer,
        Err(error) => return Some(Err((error.to_string(), gone(&error)))),
    };
    match answer.status().as_u16() {
        200 => Some(Ok(())),
        503 => None,
        status => {
            let said = answer.body_mut().read_to_string().unwrap_or_default();
            Some(Err((format!("{status}: {said}"), false)))
        }
    }
}
