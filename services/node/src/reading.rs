//! Reads, from the store as it is. No log, no other region, no waiting (but for tokens).

use std::collections::BTreeMap;
use std::sync::Arc;

use api::node::v1 as proto;
use api::v1::FeatureInfo;
use catalog::{Catalog, Feature, Plan};
use lattice::Region;
use store::Store;

use crate::columns::{Columns, Invalid};
use crate::origins::{self, Part, Standing};
use crate::reader::{ReadError, Scope, ViewReader};
use crate::shared::Shared;

/// The shards that were read, and which plans were active there.
type Wanted = Vec<(u32, BTreeMap<Region, Arc<Plan>>)>;

/// Answers a read.
///
/// # Errors
/// It asks for what is not there, or what is there cannot be read.
pub(crate) fn read(
    shared: &Shared,
    request: &proto::ReadRequest,
) -> Result<proto::ReadResponse, ReadError> {
    let store = shared.store().ok_or(ReadError::NoCatalog)?;
    let catalog = shared.catalog_now();
    let scope = Scope {
        as_of_ms: request.as_of_ms,
        now_ms: request.now_ms,
        exclude: request.exclude_regions.iter().map(|r| r.as_str().into()).collect(),
    };
    let mut response =
        proto::ReadResponse { generation: catalog.generation(), ..Default::default() };
    let mut wanted = Vec::new();
    for view in &request.views {
        response.views.push(read_view(store, &catalog, view, &scope, &mut wanted)?);
    }
    let parts = origins::parts(store, &shared.identity.regions, &wanted, shared.env.now_ms());
    say_origins(shared, &mut response, parts, &scope);
    Ok(response)
}

/// One view's entities, whatever their shards.
fn read_view(
    store: &Store,
    catalog: &Catalog,
    view: &proto::ViewRead,
    scope: &Scope,
    wanted: &mut Wanted,
) -> Result<proto::ViewValues, ReadError> {
    let (entities, shards) = (view.entities.len(), view.shards.len());
    if entities != shards {
        return Err(ReadError::Ragged { view: view.view.clone(), entities, shards });
    }
    let reader =
        |shard| ViewReader::new(store, catalog, (view.view.as_str(), view.version, shard), scope);
    let mut readers: BTreeMap<u32, ViewReader<'_>> = BTreeMap::new();
    for shard in &view.shards {
        if !readers.contains_key(shard) {
            readers.insert(*shard, reader(*shard)?);
        }
    }
    let Some(any) = readers.values().next() else { return Ok(proto::ViewValues::default()) };
    let features: Vec<&Feature> =
        view.features.iter().map(|index| any.feature(*index)).collect::<Result<_, _>>()?;
    let invalid = |reader: &ViewReader<'_>| -> Invalid {
        features.iter().map(|feature| reader.invalid(feature)).collect()
    };
    let invalid: BTreeMap<u32, Invalid> =
        readers.iter().map(|(shard, reader)| (*shard, invalid(reader))).collect();
    let mut columns = Columns::new(any, features.clone(), entities);
    for (entity, shard) in view.entities.iter().zip(&view.shards) {
        columns.push(&readers[shard], entity, &invalid[shard])?;
    }
    let infos = features.iter().map(|feature| {
        let infos = readers.values().map(|reader| reader.info(feature));
        infos.reduce(FeatureInfo::coarser).unwrap_or_default()
    });
    let values = proto::ViewValues { features: infos.collect(), ..columns.finish() };
    wanted.extend(readers.into_iter().map(|(shard, reader)| (shard, reader.by_region)));
    Ok(values)
}

fn say_origins(
    shared: &Shared,
    response: &mut proto::ReadResponse,
    mut parts: BTreeMap<Region, Part>,
    scope: &Scope,
) {
    let now_ms = shared.env.now_ms();
    for (region, part) in &mut parts {
        if scope.exclude.contains(region) {
            part.standing = Standing::Excluded;
        }
        if response.views.iter().any(|v| v.features.iter().any(|f| f.covered_from_ms.is_some()))
            && part.standing < Standing::Partial
        {
            part.standing = Standing::Partial;
        }
        response.origins.insert(region.to_string(), part.info(now_ms));
        let seen = part.next.iter().filter(|(_, next)| **next > 0);
        response.seen.extend(seen.map(|(origin, next)| proto::Position {
            region: origin.region.to_string(),
            topic_id: origin.topic.0.to_vec().into(),
            partition: origin.partition,
            offset: next - 1,
        }));
    }
    let catching_up = parts.values().any(|part| part.standing == Standing::CatchingUp);
    for view in &mut response.views {
        view.catching_up = catching_up;
    }
}
