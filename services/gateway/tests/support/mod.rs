//! A gateway over fake nodes: real sockets, made-up values, everything in this process.

#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test file uses a part of it")]

mod fake_node;

use std::time::{Duration, Instant};

use clock::SystemEnv;
use gateway::{Addresses, Config, Gateway};
use serde_json::Value as Json;
use tokio::runtime::Runtime;

pub use fake_node::{FakeNode, Mood};

/// Longer than anything here takes; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running gateway.
pub struct Door {
    pub addresses: Addresses,
    _runtime: Runtime,
}

/// An answer, whatever its status.
pub struct Answer {
    pub status: u16,
    pub token: Option<String>,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Json {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    /// Class and message, as Feast's client unpacks them: JSON in a JSON string.
    pub fn refusal(&self) -> (String, String) {
        let detail: String = serde_json::from_str(&self.text).expect("a JSON string");
        let detail: Json = serde_json::from_str(&detail).expect("JSON in it");
        assert_eq!(detail["module"], "feast.errors");
        let part = |key: &str| detail[key].as_str().expect("text").to_owned();
        (part("class"), part("message"))
    }
}

/// Starts a gateway in front of the first node, with the others as peers, and waits until some
/// region serves.
pub fn open(own: &FakeNode, peers: &[&FakeNode]) -> Door {
    let door = open_unheard(own, &peers.iter().map(|p| (&*p.region, p.url())).collect::<Vec<_>>());
    wait_until("a region serves", || door.get("/health").status == 200);
    door
}

/// Starts a gateway, and does not wait for any region.
pub fn open_unheard(own: &FakeNode, peers: &[(&str, String)]) -> Door {
    let config = Config {
        peers: peers.iter().map(|(region, url)| ((*region).into(), url.clone())).collect(),
        ..Config::from_yaml(&format!(
            "{{region: {}, http: '127.0.0.1:0', grpc: '127.0.0.1:0', metrics: '127.0.0.1:0', node: '{}'}}",
            own.region,
            own.url()
        ))
        .expect("a configuration")
    };
    let runtime = Runtime::new().expect("a runtime");
    let gateway = runtime.block_on(Gateway::bind(config, SystemEnv::shared())).expect("ports");
    let addresses = gateway.addresses();
    runtime.spawn(gateway.serve(std::future::pending()));
    Door { addresses, _runtime: runtime }
}

pub fn wait_until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Door {
    pub fn grpc(&self) -> String {
        format!("http://{}", self.addresses.grpc)
    }

    pub fn get(&self, path: &str) -> Answer {
        answer(agent().get(format!("http://{}{path}", self.addresses.http)).call())
    }

    pub fn metrics(&self) -> String {
        answer(agent().get(format!("http://{}/metrics", self.addresses.metrics)).call()).text
    }

    pub fn read(&self, body: &Json) -> Answer {
        self.post("/get-online-features", body.to_string().as_bytes())
    }

    /// Without a content type, as Feast's own documents do.
    pub fn post(&self, path: &str, body: &[u8]) -> Answer {
        answer(agent().post(format!("http://{}{path}", self.addresses.http)).send(body))
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).build().into()
}

fn answer(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Answer {
    let mut response = response.expect("an answer");
    let token = response.headers().get("x-meridian-token");
    Answer {
        status: response.status().as_u16(),
        token: token.map(|token| token.to_str().expect("text").to_owned()),
        text: response.body_mut().read_to_string().expect("a body"),
    }
}
