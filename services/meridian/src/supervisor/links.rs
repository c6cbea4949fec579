//! The links of a mesh that has some: one proxy each, in the supervisor's own process.

use std::sync::Arc;

use clock::Env;

use super::layout::socket;
use crate::error::{CliError, Result};
use crate::mesh::Mesh;
use crate::wan::{Carries, Change, Link};

/// In the order of `mesh.json`.
pub(super) struct Links(Vec<fault_proxy::Link>);

impl Links {
    /// Opens them all.
    ///
    /// # Errors
    /// A port that was free a moment ago is taken, or `mesh.json` was edited.
    pub(super) async fn open(mesh: &Mesh, env: &Arc<dyn Env>) -> Result<Self> {
        let mut links = Vec::with_capacity(mesh.links.len());
        for link in &mesh.links {
            let (at, to) = (socket(&link.at)?, socket(target(mesh, link)?)?);
            let opened = fault_proxy::Link::open(at, to, link.round_trip_ms, env.clone()).await;
            links.push(opened.map_err(CliError::file("listen on", &link.at))?);
        }
        Ok(Self(links))
    }

    /// Does it, and notes it.
    ///
    /// # Errors
    /// There is no such link; says why.
    pub(super) fn change(&self, mesh: &mut Mesh, change: &Change) -> Result<(), String> {
        let mut found = false;
        for (proxy, link) in self.0.iter().zip(&mut mesh.links) {
            if change.concerns(link) {
                proxy.set(change.fault);
                link.fault = change.fault;
                found = true;
            }
        }
        let Change { from, to, .. } = change;
        tracing::info!(from, to, fault = %change.fault, "wan");
        match found {
            true => Ok(()),
            false if mesh.links.is_empty() => Err("this mesh has no links: start it with \
                `up --wan`, as in --wan jfk-lga=80ms"
                .into()),
            false => Err(format!("nothing of that kind is carried from {from} to {to}")),
        }
    }
}

/// What a link leads to.
fn target<'a>(mesh: &'a Mesh, link: &Link) -> Result<&'a str> {
    let to = mesh.region(&link.to)?;
    Ok(match link.carries {
        Carries::Reads if link.from != link.to => &to.gateway.grpc,
        Carries::Reads | Carries::Mirror => &to.node.grpc,
    })
}
