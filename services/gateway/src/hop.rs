//! A mark on what gateways ask, so that no request goes round in circles: a gateway passes on what
//! has been through one other at most, to its node and nowhere else. And the trace that it is part
//! of, if it is traced.

use tonic::metadata::MetadataValue;
use tonic::{Request, Status};

use crate::caller::{Caller, HOPS};

/// The hops of a request of this gateway's own, and of one that it passes on.
pub(crate) const OWN: u32 = 1;
pub(crate) const PASSED_ON: u32 = 2;

/// A request of this gateway's own.
pub(crate) fn first<T>(message: T) -> Request<T> {
    marked(message, OWN)
}

/// What another gateway asked, to be passed on, with what is left of its time.
///
/// # Errors
/// It has been through two gateways: somebody's `node:` is the address of a gateway.
pub(crate) fn next<T>(caller: &Caller, message: T) -> Result<Request<T>, Status> {
    check(caller)?;
    Ok(marked(message, caller.hops + 1))
}

/// Whether what another gateway asked may be passed on.
///
/// # Errors
/// Those of [`next`].
pub(crate) fn check(caller: &Caller) -> Result<(), Status> {
    if caller.hops > 1 {
        let hops = caller.hops;
        return Err(Status::unavailable(format!(
            "this has been through {hops} gateways: what is configured as a node is a gateway"
        )));
    }
    Ok(())
}

/// A message that has been through so many gateways, this one among them.
pub(crate) fn marked<T>(message: T, hops: u32) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(HOPS, MetadataValue::from(hops));
    telemetry::inject(request.metadata_mut().as_mut());
    request
}

/// Tells the span of a call how it ended.
pub(crate) fn ended<T>(answer: &Result<T, Status>) {
    telemetry::note("status", || match answer {
        Ok(_) => "OK".to_owned(),
        Err(status) => format!("{:?}", status.code()),
    });
    if let Err(status) = answer {
        telemetry::failed(|| status.message().to_owned());
    }
}
