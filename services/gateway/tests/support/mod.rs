//! A gateway over fake nodes: real sockets, made-up values, everything in this process.

#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test file uses a part of it")]

mod fake_node;
pub mod raw;

use std::sync::Arc;
use std::time::Duration;

use clock::{Env, SystemEnv};
use gateway::{Addresses, Config, Gateway};
use serde_json::Value as Json;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

pub use fake_node::{FakeNode, Mood};

/// Longer than anything here takes; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running gateway.
pub struct Door {
    pub addresses: Addresses,
    end: Arc<Notify>,
    _runtime: Runtime,
}

/// An answer, whatever its status.
pub struct Answer {
    pub status: u16,
    pub retry_after: Option<String>,
    pub connection: Option<String>,
    pub token: Option<String>,
    pub region: Option<String>,
    pub possible_duplicate: Option<String>,
    pub text: String,
}

impl Answer {
    /// Who answered, and by which route.
    pub fn served(&self) -> (String, String) {
        assert_eq!(self.status, 200, "{}", self.text);
        let mesh = &self.json()["mesh"];
        let part = |key: &str| mesh[key].as_str().expect("text").to_owned();
        (part("served_by"), part("route"))
    }

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

/// Starts a gateway as [`open`] does, with settings of its own.
pub fn open_with(own: &FakeNode, peers: &[&FakeNode], set: impl FnOnce(&mut Config)) -> Door {
    let peers: Vec<_> = peers.iter().map(|p| (&*p.region, p.url())).collect();
    let mut config = config(own, &peers);
    set(&mut config);
    let door = start(config, SystemEnv::shared());
    wait_until("a region serves", || door.get("/health").status == 200);
    door
}

/// Starts a gateway whose time is the test's, and waits until its node serves.
pub fn open_in(env: Arc<dyn Env>, own: &FakeNode, set: impl FnOnce(&mut Config)) -> Door {
    let mut config = config(own, &[]);
    set(&mut config);
    let door = start(config, env);
    wait_until("a region serves", || door.get("/health").status == 200);
    door
}

/// Starts a gateway, and does not wait for any region.
pub fn open_unheard(own: &FakeNode, peers: &[(&str, String)]) -> Door {
    start(config(own, peers), SystemEnv::shared())
}

fn config(own: &FakeNode, peers: &[(&str, String)]) -> Config {
    Config {
        peers: peers.iter().map(|(region, url)| ((*region).into(), url.clone())).collect(),
        ..Config::parse(&format!(
            "{{region: {}, http: '127.0.0.1:0', grpc: '127.0.0.1:0', metrics: '127.0.0.1:0', node: '{}'}}",
            own.region,
            own.url()
        ))
        .expect("a configuration")
    }
}

fn start(config: Config, env: Arc<dyn Env>) -> Door {
    let runtime = Runtime::new().expect("a runtime");
    let gateway = {
        let _entered = runtime.enter();
        Gateway::bind(config, env).expect("ports")
    };
    let addresses = gateway.addresses();
    let end = Arc::new(Notify::new());
    let told = end.clone();
    runtime.spawn(gateway.serve(Box::pin(async move { told.notified().await })));
    Door { addresses, end, _runtime: runtime }
}

/// How many connections of a port were ended for a reason.
pub fn closed(door: &Door, port: &str, reason: &str) -> u64 {
    number(door, &format!("meridian_port_closed_total{{port=\"{port}\",reason=\"{reason}\"}} "))
}

/// What the gateway counts in a line that begins like this.
pub fn number(door: &Door, line: &str) -> u64 {
    let metrics = door.metrics();
    let number = metrics.lines().find_map(|text| text.strip_prefix(line));
    number.map_or(0, |number| number.parse::<f64>().expect("a number") as u64)
}

pub fn wait_until(what: &str, done: impl FnMut() -> bool) {
    assert!(testkit::within(PATIENCE, done), "in vain: {what}");
}

impl Door {
    /// Tells the gateway to end, as SIGTERM would.
    pub fn end(&self) {
        self.end.notify_one();
    }

    pub fn grpc(&self) -> String {
        format!("http://{}", self.addresses.grpc)
    }

    pub fn get(&self, path: &str) -> Answer {
        answer(agent().get(format!("http://{}{path}", self.addresses.http)).call())
    }

    pub fn metrics(&self) -> String {
        answer(agent().get(format!("http://{}/metrics", self.addresses.metrics)).call()).text
    }

    /// What it counts, in the format that a scraper accepts.
    pub fn scrape(&self, accept: &str) -> String {
        let url = format!("http://{}/metrics", self.addresses.metrics);
        answer(agent().get(url).header("accept", accept).call()).text
    }

    pub fn read(&self, body: &Json) -> Answer {
        self.post("/get-online-features", body.to_string().as_bytes())
    }

    /// A read of one value, with these headers.
    pub fn read_one(&self, headers: &[(&str, &str)]) -> Answer {
        let body = serde_json::json!({"entities": {"driver_id": [1]},
                                      "features": ["driver_stats:km_1h"]});
        self.post_with("/get-online-features", body.to_string().as_bytes(), headers)
    }

    /// Without a content type, as Feast's own documents do.
    pub fn post(&self, path: &str, body: &[u8]) -> Answer {
        self.post_with(path, body, &[])
    }

    pub fn post_with(&self, path: &str, body: &[u8], headers: &[(&str, &str)]) -> Answer {
        let request = agent().post(format!("http://{}{path}", self.addresses.http));
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        answer(request.send(body))
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).build().into()
}

fn answer(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Answer {
    let mut response = response.expect("an answer");
    let header = |name: &str| {
        response.headers().get(name).map(|value| value.to_str().expect("text").to_owned())
    };
    Answer {
        status: response.status().as_u16(),
        retry_after: header("retry-after"),
        connection: header("connection"),
        token: header("x-meridian-token"),
        region: header("x-meridian-region"),
        possible_duplicate: header("x-meridian-possible-duplicate"),
        text: response.body_mut().read_to_string().expect("a body"),
    }
}
