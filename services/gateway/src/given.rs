//! An answer as readers get it. What it says of features is the same however often it is given, and
//! shared by all who get it; what it says of regions grows older.

use std::sync::{Arc, OnceLock};

use api::GetFeaturesResponse;
use api::v1::{MeshInfo, OriginInfo};
use bytes::Bytes;
use prost::Message;

use crate::http::Fixed;

/// The route of an answer that was given before.
const CACHE: &str = "cache";
/// What a region's part is called that is all right, and one that was not heard of for long.
const OK: &str = "ok";
const STALE: &str = "stale";
/// How much more JSON takes than the message, about.
const JSON: usize = 3;

/// An answer, to one reader.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    made: Arc<Made>,
    /// How long ago it was made, if for somebody who had asked before, ms.
    since_ms: Option<i64>,
}

/// What a read came to.
#[derive(Debug)]
struct Made {
    /// Without what it says of the mesh.
    answer: GetFeaturesResponse,
    mesh: MeshInfo,
    /// What JSON says every time; from when somebody asks for that.
    json: OnceLock<Fixed>,
}

impl Given {
    /// To whoever asked.
    pub(crate) fn new(mut answer: GetFeaturesResponse) -> Self {
        let mesh = answer.mesh.take().unwrap_or_default();
        Self { made: Arc::new(Made { answer, mesh, json: OnceLock::new() }), since_ms: None }
    }

    /// To somebody who asks so long after it was made.
    pub(crate) fn again(&self, since_us: u64) -> Self {
        let since_ms = i64::try_from(since_us / 1_000).unwrap_or(i64::MAX);
        Self { made: self.made.clone(), since_ms: Some(since_ms) }
    }

    /// What it said of the mesh when it was made.
    pub(crate) fn mesh(&self) -> &MeshInfo {
        &self.made.mesh
    }

    /// How it came about.
    pub(crate) fn route(&self) -> &str {
        if self.since_ms.is_some() { CACHE } else { &self.made.mesh.route }
    }

    /// The state of what it has of a region, and its age, by now.
    pub(crate) fn aged<'a>(&self, origin: &'a OriginInfo) -> (&'a str, Option<i64>) {
        self.since_ms.map_or((&origin.state, origin.age_ms), |since_ms| aged(origin, since_ms))
    }

    /// Whether every part of it is all right by now.
    pub(crate) fn complete(&self) -> bool {
        let mesh = self.mesh();
        mesh.complete && mesh.origins.values().all(|origin| self.aged(origin).0 == OK)
    }

    /// What JSON says every time.
    ///
    /// # Errors
    /// Those of [`Fixed::of`].
    pub(crate) fn fixed(&self) -> serde_json::Result<&Fixed> {
        let Made { answer, mesh, json } = &*self.made;
        match json.get() {
            Some(fixed) => Ok(fixed),
            None => {
                let fixed = Fixed::of(answer, mesh)?;
                Ok(json.get_or_init(|| fixed))
            }
        }
    }

    /// To be kept: no part of the message that it came in, which others may have shared.
    pub(crate) fn kept(mut self) -> Self {
        if let Some(made) = Arc::get_mut(&mut self.made) {
            for column in &mut made.answer.results {
                *column = Bytes::copy_from_slice(column);
            }
        }
        self
    }

    /// What it takes to keep it, about.
    pub(crate) fn bytes(&self) -> usize {
        let Made { answer, mesh, .. } = &*self.made;
        (1 + JSON) * (answer.encoded_len() + mesh.encoded_len())
    }

    /// As gRPC sends it.
    pub(crate) fn into_message(self) -> GetFeaturesResponse {
        let (answer, mut mesh) = match Arc::try_unwrap(self.made) {
            Ok(Made { answer, mesh, .. }) => (answer, mesh),
            Err(made) => (made.answer.clone(), made.mesh.clone()),
        };
        if let Some(since_ms) = self.since_ms {
            age(&mut mesh, since_ms);
        }
        GetFeaturesResponse { mesh: Some(mesh), ..answer }
    }
}

/// What it said of its age was said a while ago.
fn age(mesh: &mut MeshInfo, since_ms: i64) {
    mesh.route = CACHE.to_owned();
    for origin in mesh.origins.values_mut() {
        let (state, age_ms) = aged(origin, since_ms);
        mesh.complete &= state == OK;
        (origin.state, origin.age_ms) = (state.to_owned(), age_ms);
    }
}

fn aged(origin: &OriginInfo, since_ms: i64) -> (&str, Option<i64>) {
    let age_ms = origin.age_ms.map(|ms| ms.saturating_add(since_ms));
    let is_stale = origin.state == OK && age_ms.is_some_and(|ms| ms > api::STALE_MS);
    (if is_stale { STALE } else { &origin.state }, age_ms)
}
