//! A node that makes up values, from names that say which: entity `nobody` was never seen, the
//! feature's type gives the value, and a mood gives the node's troubles.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::node::v1 as node;
use api::node::v1::node_server::{Node, NodeServer};
use api::v1::{
    ExplainResponse, FeatureColumn, FeatureInfo, FieldStatus, OriginInfo, StatusRequest,
    StatusResponse,
};
use catalog::Catalog;
use lattice::{Type, Value, shard};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_stream::{Stream, StreamExt};
use tonic::metadata::MetadataMap;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

const CATALOG: &str = r#"
project: test
entities:
  driver: {join_key: driver_id}
  route: {join_keys: [origin, dest]}
sources:
  trips:
    topic: trips
    event_time: ended_at
    id: trip_id
    fields:
      trip_id: string
      ended_at: timestamp
      driver_id: int
      origin: string
      dest: string
      km: {type: double, range: [0, 1000]}
      note: string?
  # Without an id, repeats count twice.
  remarks:
    topic: remarks
    event_time: at
    fields: {at: timestamp, driver_id: int}
feature_views:
  driver_remarks:
    entity: driver
    source: remarks
    windows: [1h]
    features:
      remarks: {count: "*"}
  driver_stats: &stats
    entity: driver
    source: trips
    windows: [1h]
    features:
      trips: {count: "*"}
      km: {mean: km}
      last_origin: {last: origin, windows: [all]}
  driver_other:
    entity: driver
    source: trips
    windows: [1h]
    features:
      trips: {count: "*"}
  versioned:
    version: 2
    entity: driver
    source: trips
    windows: [1h]
    features:
      longest: {max: km}
  route_stats: {<<: *stats, entity: route}
on_demand_feature_views:
  fare:
    request: {rate: double, tip: double?}
    inputs: [driver_stats@v1]
    features:
      price: km_1h * rate
      generous: tip != null && tip > 1.0
feature_services:
  driver_svc: ["driver_stats:km_1h", "driver_stats:trips_1h"]
"#;

/// What [`CATALOG`] is in a catalog topic.
fn entries() -> Vec<node::CatalogEntry> {
    let definitions = catalog::compile(&[("catalog.yaml", CATALOG)]).expect("a sound catalog");
    let changes = catalog::changes(&definitions, &Catalog::default(), &["us", "eu", "ap"]);
    let entries = changes.expect("a first catalog").entries.into_iter();
    entries.map(|(key, value)| node::CatalogEntry { key, value }).collect()
}

/// What ails the node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mood {
    Well,
    /// Serves from a checkpoint, and says so.
    NotReady,
    /// Takes reads and never answers.
    Hangs,
    /// Never sees what a token names.
    Behind,
    /// Its view of `ap` is an hour old.
    Old,
    /// It answers after so many milliseconds.
    Slow(u64),
    /// Both.
    OldAndSlow(u64),
    /// It says that it is well, and fails every read.
    Fails,
    /// It answers, and says that it is about to end.
    Draining,
    /// It reads, and its log takes nothing.
    LogDown,
    /// Its log takes nothing more.
    LogFull,
    /// Its answers, and what is pushed, are larger than a message may be.
    TooLarge,
    /// Its log never answers.
    LogHangs,
    /// Its `ap` stands still: it says so, and so do its answers.
    Frozen,
}

/// A node in this process, on a runtime of its own: dropping that is like killing it.
pub struct FakeNode {
    pub region: String,
    pub address: SocketAddr,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

struct Shared {
    region: String,
    catalog: Catalog,
    entries: Vec<node::CatalogEntry>,
    mood: Mutex<Mood>,
    shards: Mutex<Vec<u32>>,
    reads: Mutex<Vec<node::ReadRequest>>,
    /// Appends that were tried.
    appends: AtomicUsize,
    /// The metadata of the last read or append; of a read on a stream, that of the stream and its trace.
    metadata: Mutex<MetadataMap>,
    /// How long the last read that came on a stream may take.
    timeout_ms: Mutex<Option<u32>>,
    under_way: Arc<()>,
    events: Mutex<Vec<(String, serde_json::Value)>>,
    /// The next offset that it lacks of its own origin, which it says only if it is told to.
    frontier: Mutex<Option<u64>>,
    /// How often it has said how it is.
    words: AtomicU64,
}

impl FakeNode {
    pub fn start(region: &str) -> Self {
        let entries = entries();
        let mut catalog = Catalog::default();
        for entry in &entries {
            catalog.insert(&entry.key, &entry.value).expect("an entry");
        }
        let shared = Arc::new(Shared {
            region: region.into(),
            catalog,
            entries,
            mood: Mutex::new(Mood::Well),
            shards: Mutex::default(),
            reads: Mutex::default(),
            appends: AtomicUsize::new(0),
            metadata: Mutex::default(),
            timeout_ms: Mutex::default(),
            under_way: Arc::default(),
            events: Mutex::default(),
            frontier: Mutex::default(),
            words: AtomicU64::default(),
        });
        let (address, runtime) = serve(&shared, "127.0.0.1:0".parse().expect("an address"));
        Self { region: region.into(), address, shared, runtime: Some(runtime) }
    }

    /// Runs again where it was killed, with what it had.
    pub fn restart(&mut self) {
        self.runtime = Some(serve(&self.shared, self.address).1);
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Says that it has these shards alone.
    pub fn serve(&self, shards: &[u32]) {
        *self.shared.shards.lock().expect("shards") = shards.to_vec();
    }

    pub fn set(&self, mood: Mood) {
        *self.shared.mood.lock().expect("a mood") = mood;
    }

    /// It has folded all events of its own origin below this offset.
    pub fn fold_to(&self, next: u64) {
        *self.shared.frontier.lock().expect("a frontier") = Some(next);
    }

    /// Waits until it has said so many times how it is.
    pub fn speaks(&self, times: u64) {
        let words = || self.shared.words.load(Relaxed);
        let before = words();
        super::wait_until("the node speaks", || words() >= before + times);
    }

    /// Every connection breaks at once.
    pub fn kill(&mut self) {
        self.runtime.take().expect("alive").shutdown_timeout(Duration::from_secs(5));
    }

    pub fn reads(&self) -> Vec<node::ReadRequest> {
        self.shared.reads.lock().expect("reads").clone()
    }

    pub fn appends(&self) -> usize {
        self.shared.appends.load(Relaxed)
    }

    /// A header of the last read or append.
    pub fn header(&self, name: &str) -> Option<String> {
        let metadata = self.shared.metadata.lock().expect("metadata");
        metadata.get(name).map(|value| value.to_str().expect("text").to_owned())
    }

    /// How long the last small read was allowed to take.
    pub fn timeout_ms(&self) -> Option<u32> {
        *self.shared.timeout_ms.lock().expect("a timeout")
    }

    /// Small reads that it works on.
    pub fn under_way(&self) -> usize {
        // Each has one of these.
        Arc::strong_count(&self.shared.under_way) - 1
    }

    /// Sources and events, in the order in which they were appended.
    pub fn events(&self) -> Vec<(String, serde_json::Value)> {
        self.shared.events.lock().expect("events").clone()
    }
}

fn serve(shared: &Arc<Shared>, at: SocketAddr) -> (SocketAddr, Runtime) {
    let runtime = Runtime::new().expect("a runtime");
    let listener = runtime.block_on(TcpListener::bind(at)).expect("a port");
    let address = listener.local_addr().expect("an address");
    let server =
        tonic::transport::Server::builder().add_service(NodeServer::new(Service(shared.clone())));
    runtime.spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    (address, runtime)
}

#[derive(Clone)]
struct Service(Arc<Shared>);

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn position(region: &str, offset: u64) -> node::Position {
    node::Position { region: region.into(), topic_id: vec![7; 16].into(), partition: 0, offset }
}

impl Service {
    fn mood(&self) -> Mood {
        *self.0.mood.lock().expect("a mood")
    }

    async fn answer(&self, request: node::ReadRequest) -> Result<node::ReadResponse, Status> {
        self.0.reads.lock().expect("reads").push(request.clone());
        match self.mood() {
            Mood::Slow(ms) | Mood::OldAndSlow(ms) => {
                tokio::time::sleep(Duration::from_millis(ms)).await
            }
            Mood::Fails => return Err(Status::internal("a disk is on fire")),
            Mood::TooLarge => return Err(Status::out_of_range("an answer of 70000000 bytes")),
            Mood::Hangs => std::future::pending().await,
            Mood::Behind if !request.tokens.is_empty() => {
                return Err(Status::failed_precondition("not yet"));
            }
            _ => {}
        }
        let origin = |(region, age_ms): (&str, i64)| {
            let excluded = request.exclude_regions.iter().any(|r| r == region);
            let state = if excluded { "excluded" } else { "ok" };
            let origin = OriginInfo {
                state: state.into(),
                age_ms: Some(age_ms),
                watermark_ms: Some(0),
                ..OriginInfo::default()
            };
            (region.to_owned(), origin)
        };
        let next = self.0.frontier.lock().expect("a frontier").unwrap_or(42);
        let old = matches!(self.mood(), Mood::Old | Mood::OldAndSlow(_) | Mood::Frozen);
        let ap_ms = if old { 3_600_000 } else { 30 };
        Ok(node::ReadResponse {
            views: request.views.iter().map(|view| self.view(view)).collect::<Result<_, _>>()?,
            origins: [("us", 10), ("eu", 20), ("ap", ap_ms)].into_iter().map(origin).collect(),
            generation: self.0.catalog.generation(),
            seen: vec![position(&self.0.region, next - 1)],
        })
    }

    fn view(&self, read: &node::ViewRead) -> Result<node::ViewValues, Status> {
        let active = self.0.catalog.active(&read.view, read.version);
        let plan = active.values().next().ok_or_else(|| Status::not_found("no such view"))?;
        let bad = || Status::invalid_argument("no such entity or feature");
        let kind = |i: &u32| Some(plan.features.get(*i as usize)?.kind);
        let kinds: Option<Vec<Type>> = read.features.iter().map(kind).collect();
        let keys = read.entities.iter().map(|entity| shard::decode_entity_key(entity));
        let keys: Vec<Vec<Value>> = keys.collect::<Result<_, _>>().map_err(|_| bad())?;
        let seen = |key: &Vec<Value>| if *key == [Value::Int(404)] { 0 } else { 1_795_415_250_000 };
        let column = |kind: Type| {
            let (values, statuses) = keys.iter().map(|key| made_up(key, kind)).unzip();
            FeatureColumn { values, statuses, event_timestamps_ms: keys.iter().map(seen).collect() }
        };
        let reason = |column: &FeatureColumn| {
            let is_invalid = column.statuses.contains(&FieldStatus::Invalid.into());
            if is_invalid { "too long ago".to_owned() } else { String::new() }
        };
        let info = FeatureInfo { resolution_ms: 60_000, as_of_ms: None, covered_from_ms: None };
        let columns: Vec<FeatureColumn> = kinds.ok_or_else(bad)?.into_iter().map(column).collect();
        Ok(node::ViewValues {
            columns: columns.iter().map(FeatureColumn::encoded).collect(),
            invalid_reasons: columns.iter().map(reason).collect(),
            features: vec![info; read.features.len()],
            catching_up: false,
        })
    }
}

async fn take(
    shared: Arc<Shared>,
    request: Result<node::AppendRequest, Status>,
) -> Result<node::AppendResponse, Status> {
    let request = request?;
    shared.appends.fetch_add(1, Relaxed);
    let mood = *shared.mood.lock().expect("a mood");
    match mood {
        Mood::LogDown => return Err(Status::unavailable("the log is away")),
        Mood::LogFull => return Err(Status::resource_exhausted("the log is full")),
        Mood::TooLarge => return Err(Status::out_of_range("an event of 70000000 bytes")),
        Mood::LogHangs => std::future::pending().await,
        _ => {}
    }
    if shared.catalog.source(&request.source).is_none() {
        return Err(Status::not_found(format!("no source {}", request.source)));
    }
    let accepted = request.events.len() as u64;
    let mut events = shared.events.lock().expect("events");
    for event in request.events {
        let event = serde_json::from_slice(&event).unwrap_or_default();
        events.push((request.source.clone(), event));
    }
    let positions = vec![position(&shared.region, events.len() as u64)];
    Ok(node::AppendResponse { accepted, positions })
}

/// What health says of `ap`, which is complete up to now unless it is frozen.
fn ap(mood: Mood) -> OriginInfo {
    let age_ms = if mood == Mood::Frozen { 3_600_000 } else { 30 };
    let complete_to_ms = clock::Env::now_ms(&clock::SystemEnv) - age_ms;
    OriginInfo {
        state: "ok".into(),
        age_ms: Some(age_ms),
        complete_to_ms: Some(complete_to_ms),
        ..OriginInfo::default()
    }
}

/// 404 was never seen, 410 is too old, 204 has no value, 400 cannot be read, 500 is beyond numbers.
fn made_up(key: &[Value], kind: Type) -> (api::v1::Value, i32) {
    let null = |status: FieldStatus| (Value::Null.into(), status.into());
    match key {
        [Value::Int(404)] => return null(FieldStatus::NotFound),
        [Value::Int(410)] => return null(FieldStatus::OutsideMaxAge),
        [Value::Int(204)] => return null(FieldStatus::NullValue),
        [Value::Int(400)] => return null(FieldStatus::Invalid),
        _ => {}
    }
    let value = match (key, kind) {
        ([Value::Int(500)], Type::Double) => Value::Float(f64::NEG_INFINITY),
        ([Value::Int(501)], Type::Double) => Value::Float(f64::NAN),
        (_, Type::Double) => Value::Float(2.0),
        (_, Type::Int) => Value::Int(7),
        (_, Type::Bool) => Value::Bool(true),
        (_, Type::String) => Value::Text("JFK".into()),
        (_, Type::Timestamp) => Value::Time(0),
    };
    (value.into(), FieldStatus::Present.into())
}

#[tonic::async_trait]
impl Node for Service {
    async fn read(
        &self,
        request: Request<node::ReadRequest>,
    ) -> Result<Response<node::ReadResponse>, Status> {
        *self.0.metadata.lock().expect("metadata") = request.metadata().clone();
        self.answer(request.into_inner()).await.map(Response::new)
    }

    type ReadsStream = Replies<node::ReadsResponse>;

    async fn reads(
        &self,
        request: Request<Streaming<node::ReadsRequest>>,
    ) -> Result<Response<Self::ReadsStream>, Status> {
        let (service, of_stream) = (self.clone(), request.metadata().clone());
        let answer = move |asked: node::NumberedRead| -> api::Answer {
            let mut metadata = of_stream.clone().into_headers();
            for (name, value) in &asked.trace_context {
                let name: axum::http::HeaderName = name.parse().expect("a name");
                metadata.insert(name, value.parse().expect("text"));
            }
            metadata.insert("x-meridian-priority", asked.priority.parse().expect("text"));
            *service.0.metadata.lock().expect("metadata") = MetadataMap::from_headers(metadata);
            *service.0.timeout_ms.lock().expect("a timeout") = Some(asked.timeout_ms);
            let (service, under_way) = (service.clone(), service.0.under_way.clone());
            Box::pin(async move {
                let _under_way = under_way;
                service.answer(asked.read.expect("a read")).await
            })
        };
        Ok(Response::new(Box::pin(api::Reads::new(request.into_inner(), answer))))
    }

    type AppendStream = Replies<node::AppendResponse>;

    async fn append(
        &self,
        request: Request<Streaming<node::AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        let shared = self.0.clone();
        *shared.metadata.lock().expect("metadata") = request.metadata().clone();
        let replies = request.into_inner().then(move |request| take(shared.clone(), request));
        Ok(Response::new(Box::pin(replies)))
    }

    type WatchStream = Replies<node::Health>;

    async fn watch(
        &self,
        _: Request<node::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let shared = self.0.clone();
        let ticks = tokio_stream::wrappers::IntervalStream::new(tokio::time::interval(
            Duration::from_millis(20),
        ));
        let said = ticks.map(move |_| {
            let mood = *shared.mood.lock().expect("a mood");
            let next = *shared.frontier.lock().expect("a frontier");
            shared.words.fetch_add(1, Relaxed);
            Ok(node::Health {
                region: shared.region.clone(),
                ready: mood != Mood::NotReady,
                serving: true,
                draining: mood == Mood::Draining,
                generation: shared.catalog.generation(),
                shards: shared.shards.lock().expect("shards").clone(),
                origins: [("ap".to_owned(), ap(mood))].into(),
                frontiers: next.map(|next| position(&shared.region, next)).into_iter().collect(),
                ..node::Health::default()
            })
        });
        Ok(Response::new(Box::pin(said)))
    }

    async fn ping(
        &self,
        _: Request<node::PingRequest>,
    ) -> Result<Response<node::PingResponse>, Status> {
        Ok(Response::new(node::PingResponse {}))
    }

    async fn catalog(
        &self,
        _: Request<node::CatalogRequest>,
    ) -> Result<Response<node::CatalogResponse>, Status> {
        let (generation, entries) = (self.0.catalog.generation(), self.0.entries.clone());
        Ok(Response::new(node::CatalogResponse { generation, entries }))
    }

    async fn define(
        &self,
        _: Request<node::DefineRequest>,
    ) -> Result<Response<node::DefineResponse>, Status> {
        Err(Status::unimplemented("not asked by gateways"))
    }

    async fn explain(
        &self,
        request: Request<node::ExplainRequest>,
    ) -> Result<Response<ExplainResponse>, Status> {
        if self.mood() == Mood::Fails {
            return Err(Status::internal("a disk is on fire"));
        }
        let request = request.into_inner();
        let (view, version, shard) = (request.view, request.version, request.shard);
        Ok(Response::new(ExplainResponse { view, version, shard, ..ExplainResponse::default() }))
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let region = self.0.region.clone();
        Ok(Response::new(StatusResponse { region, ..StatusResponse::default() }))
    }

    type DeadLettersStream = Replies<node::DeadLetter>;

    async fn dead_letters(
        &self,
        _: Request<node::DeadLettersRequest>,
    ) -> Result<Response<Self::DeadLettersStream>, Status> {
        Err(Status::unimplemented("not asked by gateways"))
    }
}
