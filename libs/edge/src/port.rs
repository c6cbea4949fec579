//! The accept loop.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Request, Response};
use clock::Env;
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tower::{Service, ServiceExt};
use tracing::{Instrument, Span};

use crate::arriving::{Arriving, Shared};
use crate::crowd::{Crowd, Order};
use crate::leaving::Leaving;
use crate::limits::Limits;
use crate::pulse::Pulse;
use crate::verdict::Reason;
use crate::watched::{Watched, say};

/// Between two looks at all connections, ms.
const SWEEP_MS: u64 = 500;
/// Clients that come at once and are not accepted yet; the system may allow fewer. Whoever comes beyond that is
/// lost without a word where the system answers by SYN cookies.
const BACKLOG: u32 = 4_096;
/// After a failure to accept that is the machine's, ms.
const PAUSE_MS: u64 = 20;
/// HTTP/2 asks whether the other side is there; no answer for so long ends the connection.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_ANSWER: Duration = Duration::from_secs(10);
/// The least that HTTP/1 reads into.
const LEAST_BUFFER: usize = 8 << 10;
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n\
    connection: close\r\n\r\n";

/// What clients may speak to a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP/1 or HTTP/2, as each client begins.
    Http,
    /// HTTP/2 alone.
    Grpc,
}

/// A port, bound, with its limits.
pub struct Port {
    /// Until it stops: who comes later is to be refused and not to wait.
    listener: Option<TcpListener>,
    speaks: Speaks,
    span: Spans,
    pub(crate) name: &'static str,
    pub(crate) shared: Arc<Shared>,
    pub(crate) crowd: Arc<Crowd>,
}

/// The span of a request.
type Spans = fn(&Parts) -> Span;

/// What answers requests: a router, mostly. Whatever happens, there is an answer.
pub trait Answers:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static
{
}

impl<S> Answers for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}

/// Somebody else listens there, or nobody may.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {cause}; stop what uses the port, or configure another")]
pub struct BindError {
    address: SocketAddr,
    cause: io::Error,
}

impl Port {
    /// Binds it; nothing is accepted yet. The name is for metrics and logs. Within a tokio runtime.
    ///
    /// # Errors
    /// The address cannot be had.
    pub fn bind(
        (name, address): (&'static str, SocketAddr),
        speaks: Speaks,
        limits: Limits,
        env: Arc<dyn Env>,
    ) -> Result<Self, BindError> {
        let listener = listen(address).map_err(|cause| BindError { address, cause })?;
        let (shared, crowd) = (Arc::new(Shared::new(env, limits)), Arc::default());
        let listener = Some(listener);
        Ok(Self { listener, speaks, span: |_| Span::none(), name, shared, crowd })
    }

    /// Requests are answered in such spans.
    #[must_use]
    pub fn traced(mut self, span: fn(&Parts) -> Span) -> Self {
        self.span = span;
        self
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.as_ref().ok_or(io::ErrorKind::NotConnected)?.local_addr()
    }

    /// Serves until `stop` completes, and then what is under way to its end.
    pub async fn serve(mut self, answers: impl Answers, stop: impl Future<Output = ()>) {
        let (env, builder) = (self.shared.env.clone(), self.builder());
        let (mut tasks, mut stop) = (JoinSet::new(), pin!(stop));
        let mut tick = env.sleep_ms(SWEEP_MS);
        let mut next = 0_u64;
        while self.listener.is_some() || !tasks.is_empty() {
            tokio::select! {
                biased;
                () = &mut stop, if self.listener.is_some() => {
                    self.listener = None;
                    self.crowd.finish();
                }
                () = &mut tick => {
                    self.sweep();
                    tick = env.sleep_ms(SWEEP_MS);
                }
                Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
                accepted = accept(self.listener.as_ref()) => match accepted {
                    Ok((stream, _)) => {
                        if let Some(stream) = self.admit(stream) {
                            next += 1;
                            tasks.spawn(self.attend(next, stream, &builder, answers.clone()));
                        }
                    }
                    Err(error) => self.not_accepted(&error).await,
                },
            }
        }
    }

    fn builder(&self) -> Builder<TokioExecutor> {
        let limits = &self.shared.limits;
        let mut builder = Builder::new(TokioExecutor::new());
        // How long heads may take is seen to by the sweep, which tells them from connections that
        // are kept.
        builder
            .http1()
            .header_read_timeout(None)
            .max_buf_size((limits.max_head_bytes as usize).max(LEAST_BUFFER));
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_ANSWER)
            .max_concurrent_streams(limits.max_streams)
            .max_pending_accept_reset_streams(limits.max_resets)
            .max_header_list_size(limits.max_head_bytes);
        match self.speaks {
            Speaks::Http => builder,
            Speaks::Grpc => builder.http2_only(),
        }
    }

    /// The connection, if there is room or can be.
    fn admit(&self, stream: TcpStream) -> Option<TcpStream> {
        if self.crowd.len() >= self.shared.limits.max_connections {
            if !self.crowd.make_room(self.shared.env.monotonic_ms()) {
                self.crowd.ended(Reason::Refused);
                if self.speaks == Speaks::Http {
                    say(stream, FULL);
                }
                return None;
            }
            self.crowd.ended(Reason::Displaced);
        }
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps Nagle's delay");
        }
        Some(stream)
    }

    /// One connection, to its end.
    fn attend(
        &self,
        id: u64,
        stream: TcpStream,
        builder: &Builder<TokioExecutor>,
        answers: impl Answers,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (builder, shared, crowd) = (builder.clone(), self.shared.clone(), self.crowd.clone());
        let pulse = Arc::new(Pulse::new(shared.env.clone()));
        let mut orders = crowd.enter(id, pulse.clone());
        let span = self.span;
        async move {
            let io = TokioIo::new(Watched::new(stream, pulse.clone()));
            let service = service_fn(move |request: Request<Incoming>| {
                answer(request, (answers.clone(), span), pulse.clone(), shared.clone())
            });
            let mut connection = pin!(builder.serve_connection(io, service));
            loop {
                tokio::select! {
                    biased;
                    told = orders.changed() => match (told, *orders.borrow_and_update()) {
                        (Ok(()), Order::Stay) => {}
                        (Ok(()), Order::Finish) => connection.as_mut().graceful_shutdown(),
                        _ => break,
                    },
                    ended = connection.as_mut() => {
                        if let Err(error) = ended {
                            tracing::debug!(%error, "a connection broke");
                        }
                        break;
                    }
                }
            }
            crowd.leave(id);
        }
    }

    fn sweep(&self) {
        let Shared { env, limits, .. } = &*self.shared;
        let pressed = self.shared.held() > limits.max_held_bytes;
        for reason in self.crowd.sweep(limits, pressed, env.monotonic_ms()) {
            self.crowd.ended(reason);
        }
    }

    /// Most often the process has no file descriptor left: somebody who is quiet has one.
    async fn not_accepted(&self, error: &io::Error) {
        tracing::warn!(port = self.name, %error, "a connection is not accepted");
        if self.crowd.make_room(self.shared.env.monotonic_ms()) {
            self.crowd.ended(Reason::Displaced);
        }
        self.shared.env.sleep_ms(PAUSE_MS).await;
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

async fn answer(
    request: Request<Incoming>,
    (answers, span): (impl Answers, Spans),
    pulse: Arc<Pulse>,
    shared: Arc<Shared>,
) -> Result<Response<Leaving<Body>>, Infallible> {
    let under_way = pulse.begin(request.body().size_hint().exact());
    let (parts, body) = request.into_parts();
    let body = Arriving::new(body, &parts.headers, pulse.clone(), &shared);
    let span = span(&parts);
    let request = Request::from_parts(parts, Body::new(body));
    let response = answers.oneshot(request).instrument(span).await?;
    Ok(response.map(|body| Leaving::new(body, under_way, pulse, &shared)))
}
