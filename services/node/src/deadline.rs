//! A call ends when its caller's time is over, and what works on it with it: who has given up reads no
//! answer. A client that is there says so by a reset of its stream; one that cannot be reached any more
//! does not.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use clock::Env;
use futures::FutureExt;
use futures::future::{BoxFuture, Either, select};
use http_body::Frame;
use tonic::Status;

/// Answers within the time that the caller names, if it names one: the first byte and the last.
pub(crate) async fn keep(
    State(env): State<Arc<dyn Env>>,
    request: Request,
    next: Next,
) -> Response {
    let timeout = request.headers().get(api::GRPC_TIMEOUT);
    let Some(ms) = timeout.and_then(|text| api::timeout_ms(text.to_str().ok()?)) else {
        return next.run(request).await;
    };
    match select(next.run(request).boxed(), env.sleep_ms(ms)).await {
        Either::Left((answer, over)) => {
            answer.map(|body| Body::new(Until { body: Some(body), over }))
        }
        Either::Right(_) => too_late().into_http(),
    }
}

fn too_late() -> Status {
    Status::deadline_exceeded("the caller's time is over")
}

/// An answer that is cut off, with its reason, when its time is over. None: it was.
struct Until {
    body: Option<Body>,
    over: BoxFuture<'static, ()>,
}

impl HttpBody for Until {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        if this.over.poll_unpin(cx).is_pending() {
            return Poll::Pending;
        }
        // Whoever makes the rest of it ends here.
        this.body = None;
        let mut trailers = HeaderMap::new();
        let told = too_late().add_header(&mut trailers);
        Poll::Ready(told.is_ok().then(|| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use axum::Router;
    use axum::middleware::from_fn_with_state;
    use axum::routing::post;
    use clock::SystemEnv;
    use futures::{StreamExt, stream};
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    /// Work under way.
    static WORKING: AtomicUsize = AtomicUsize::new(0);

    struct Work;

    impl Work {
        fn begin() -> Self {
            WORKING.fetch_add(1, SeqCst);
            Self
        }
    }

    impl Drop for Work {
        fn drop(&mut self) {
            WORKING.fetch_sub(1, SeqCst);
        }
    }

    /// Three calls: one that answers at once, one that never does, one that never ends its answer.
    fn router() -> Router {
        let never = async || {
            let _work = Work::begin();
            std::future::pending::<()>().await;
        };
        let endless = async || {
            let work = Work::begin();
            let first = stream::iter([Ok::<_, axum::Error>(Bytes::from_static(b"first"))]);
            Body::from_stream(first.chain(stream::pending().inspect(move |_| _ = &work)))
        };
        Router::new()
            .route("/at-once", post(async || "all of it"))
            .route("/never", post(never))
            .route("/endless", post(endless))
            .layer(from_fn_with_state(SystemEnv::shared(), keep))
    }

    async fn call(path: &str, timeout: Option<&str>) -> Response {
        let mut request = Request::post(path);
        if let Some(timeout) = timeout {
            request = request.header(api::GRPC_TIMEOUT, timeout);
        }
        router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn a_call_ends_with_its_callers_time_and_its_work_with_it() {
        for timeout in [None, Some("1H"), Some("nonsense")] {
            let answer = call("/at-once", timeout).await.into_body().collect().await.unwrap();
            assert_eq!(answer.to_bytes(), "all of it");
        }
        let late = call("/never", Some("50m")).await;
        let status = Status::from_header_map(late.headers()).unwrap();
        assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
        assert_eq!(WORKING.load(SeqCst), 0);

        let mut cut = call("/endless", Some("50m")).await.into_body();
        assert_eq!(cut.frame().await.unwrap().unwrap().into_data().unwrap(), "first");
        let trailers = cut.frame().await.unwrap().unwrap().into_trailers().unwrap();
        let status = Status::from_header_map(&trailers).unwrap();
        assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
        assert_eq!(WORKING.load(SeqCst), 0);
        assert!(cut.frame().await.is_none());
    }
}
