//! The empty servers: tonic and hyper, with an answer that was made before.
//!
//! tonic answers twice: with messages of the gateway's own contract, decoded and encoded as every
//! tonic server does, and with bytes, which it only copies. Behind another one it shows what a second
//! process on the way costs, whatever the two do.

use std::convert::Infallible;
use std::fs;
use std::future::{Ready, ready};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::task::{Context, Poll};

use api::v1::{FeatureColumn, GetFeaturesRequest, MeshInfo};
use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use prost::Message;
use testkit::AsIs;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::{Service, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

/// `meridian.v1.GetFeaturesResponse` as tonic's servers have their messages: whole, and encoded anew
/// for every answer. The gateway's own leaves columns encoded.
#[derive(Clone, PartialEq, Message)]
struct Typed {
    #[prost(string, repeated, tag = "1")]
    feature_names: Vec<String>,
    #[prost(message, repeated, tag = "2")]
    results: Vec<FeatureColumn>,
    #[prost(message, optional, tag = "3")]
    mesh: Option<MeshInfo>,
}

/// The answers that the empty servers give.
pub(crate) struct Answers {
    pub(crate) one: api::GetFeaturesResponse,
    pub(crate) batch: api::GetFeaturesResponse,
    pub(crate) json: Bytes,
}

/// The empty servers, running.
pub(crate) struct Echo {
    process: Child,
    _answers: tempfile::TempDir,
    pub(crate) grpc: String,
    pub(crate) http: String,
}

impl Echo {
    /// In front of another one, to whom it passes on what is asked of it as `/echo/…-behind`.
    pub(crate) fn in_front_of(behind: &Self, answers: &Answers) -> Self {
        Self::spawn(answers, &[&behind.grpc])
    }

    pub(crate) fn start(answers: &Answers) -> Self {
        Self::spawn(answers, &[])
    }

    fn spawn(answers: &Answers, behind: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes);
        write("one", &answers.one.encode_to_vec()).expect("a file");
        write("batch", &answers.batch.encode_to_vec()).expect("a file");
        write("json", &answers.json).expect("a file");
        let mut process = Command::new(std::env::current_exe().expect("a path"))
            .arg("echo")
            .arg(dir.path())
            .args(behind)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the empty servers");
        let mut line = String::new();
        let said = process.stdout.take().expect("its output");
        BufReader::new(said).read_line(&mut line).expect("its addresses");
        let (grpc, http) = line.trim().split_once(' ').expect("two addresses");
        let (grpc, http) = (format!("http://{grpc}"), format!("http://{http}"));
        Self { process, _answers: dir, grpc, http }
    }

    pub(crate) fn pid(&self) -> u64 {
        self.process.id().into()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // It ends when its standard input does.
        drop(self.process.stdin.take());
        _ = self.process.wait();
    }
}

/// Serves until standard input ends.
pub(crate) fn serve(dir: &str, behind: Option<String>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let (grpc, http) = runtime.block_on(async {
        let bind = || async { TcpListener::bind("127.0.0.1:0").await.expect("a port") };
        (bind().await, bind().await)
    });
    let address = |listener: &TcpListener| listener.local_addr().expect("an address");
    println!("{} {}", address(&grpc), address(&http));
    std::io::stdout().flush().expect("a reader");
    let dir = PathBuf::from(dir);
    let behind = behind.map(|address| Endpoint::from_shared(address).expect("an address"));
    let connected = behind.map(|to| runtime.block_on(to.tcp_nodelay(true).connect()));
    let behind = connected.map(|channel| channel.expect("another one"));
    runtime.spawn(serve_grpc(grpc, Empty { behind, ..Empty::new(&dir) }));
    runtime.spawn(serve_http(http, fs::read(dir.join("json")).expect("an answer").into()));
    _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
}

async fn serve_grpc(listener: TcpListener, empty: Empty) {
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = tonic::transport::Server::builder().add_service(empty);
    server.serve_with_incoming(incoming).await.expect("gRPC");
}

async fn serve_http(listener: TcpListener, answer: Bytes) {
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        let answer = answer.clone();
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let answer = answer.clone();
            async move {
                request.into_body().collect().await?;
                let response = hyper::Response::builder().header(CONTENT_TYPE, "application/json");
                Ok::<_, hyper::Error>(response.body(Full::new(answer)).expect("a response"))
            }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// Answers every request with the same message.
#[derive(Clone)]
struct Empty {
    one: (Typed, Bytes),
    batch: (Typed, Bytes),
    behind: Option<Channel>,
}

impl Empty {
    fn new(dir: &Path) -> Self {
        let answer = |name: &str| {
            let bytes = Bytes::from(fs::read(dir.join(name)).expect("an answer"));
            (Typed::decode(bytes.clone()).expect("an answer"), bytes)
        };
        Self { one: answer("one"), batch: answer("batch"), behind: None }
    }

    fn pass_on(&self, path: &'static str, request: http::Request<Body>) -> Answering {
        let Some(behind) = self.behind.clone() else { panic!("nothing is behind it") };
        let passes = Passes(behind, PathAndQuery::from_static(path));
        Box::pin(async { Ok(Grpc::new(AsIs).unary(passes, request).await) })
    }
}

impl NamedService for Empty {
    const NAME: &'static str = "echo";
}

impl Service<http::Request<Body>> for Empty {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        match request.uri().path() {
            "/echo/one" => typed(self.one.0.clone(), request),
            "/echo/batch" => typed(self.batch.0.clone(), request),
            "/echo/one-raw" => raw(self.one.1.clone(), request),
            "/echo/batch-raw" => raw(self.batch.1.clone(), request),
            "/echo/one-behind" => self.pass_on("/echo/one", request),
            "/echo/batch-behind" => self.pass_on("/echo/batch", request),
            path => panic!("no such echo: {path}"),
        }
    }
}

type Answering = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

fn typed(answer: Typed, request: http::Request<Body>) -> Answering {
    let codec = ProstCodec::<Typed, GetFeaturesRequest>::default();
    Box::pin(async { Ok(Grpc::new(codec).unary(Same(answer), request).await) })
}

fn raw(answer: Bytes, request: http::Request<Body>) -> Answering {
    Box::pin(async { Ok(Grpc::new(AsIs).unary(Same(answer), request).await) })
}

struct Same<T>(T);

impl<Q, A: Default> UnaryService<Q> for Same<A> {
    type Response = A;
    type Future = Ready<Result<Response<A>, Status>>;

    fn call(&mut self, _: Request<Q>) -> Self::Future {
        ready(Ok(Response::new(std::mem::take(&mut self.0))))
    }
}

/// Has another one answer.
struct Passes(Channel, PathAndQuery);

impl UnaryService<Bytes> for Passes {
    type Response = Bytes;
    type Future = BoxFuture<'static, Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let (mut client, path) = (tonic::client::Grpc::new(self.0.clone()), self.1.clone());
        Box::pin(async move {
            client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
            client.unary(Request::new(request.into_inner()), path, AsIs).await
        })
    }
}
