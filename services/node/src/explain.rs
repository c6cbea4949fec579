//! The panes behind one value, per origin.

use api::node::v1 as proto;
use api::v1;
use lattice::Region;
use lattice::cell::Cells;
use lattice::combine::{PaneView, Want, combine};

use crate::origins::{self, Standing};
use crate::reader::{ReadError, Scope, ViewReader};
use crate::shared::Shared;

/// Explains one feature of one entity.
pub(crate) fn explain(
    shared: &Shared,
    request: &proto::ExplainRequest,
) -> Result<v1::ExplainResponse, ReadError> {
    let store = shared.store().ok_or(ReadError::NoCatalog)?;
    let catalog = shared.catalog_now();
    let exclude = request.exclude_regions.iter().map(|r| Region::from(r.as_str())).collect();
    let scope = Scope { as_of_ms: request.as_of_ms, now_ms: request.now_ms, exclude };
    let place = (request.view.as_str(), request.version, request.shard);
    let reader = ViewReader::new(store, &catalog, place, &scope)?;
    let feature = reader.feature(request.feature)?;
    let width = &reader.plan.widths[feature.width];
    let wants = [Want { cell: feature.cell, cut: reader.cut(feature) }];
    let cut = wants[0].cut;
    let mut panes = Vec::new();
    let combined = reader.panes(&request.entity, width.width_s, |all| {
        let mut inside = all.filter(|pane| {
            let late = cut.until_ms.is_some_and(|until_ms| pane.span.end_ms() > until_ms);
            width.width_s == 0 || (pane.span.start_ms >= cut.from_ms && !late)
        });
        let mut seen =
            inside.by_ref().inspect(|pane| panes.push(info(pane, &width.specs, feature.cell)));
        combine(&width.specs, &wants, &mut seen)
    })?;
    let value = combined.values.into_iter().next().unwrap_or(lattice::Value::Null);
    let wanted = [(request.shard, reader.by_region.clone())];
    let now_ms = shared.env.now_ms();
    let parts = origins::parts(store, &shared.identity.regions, &wanted, now_ms);
    Ok(v1::ExplainResponse {
        view: reader.plan.view.to_string(),
        version: reader.plan.version,
        plan: reader.plan.hash.to_string(),
        shard: request.shard,
        resolution_ms: i64::from(width.width_s) * 1000,
        value: Some((&reader.or_empty(feature, value)).into()),
        panes: panes.into_iter().collect::<Result<_, _>>()?,
        mesh: Some(v1::MeshInfo {
            served_by: shared.identity.region.to_string(),
            as_of_ms: cut.until_ms,
            complete: parts.values().all(|part| part.standing == Standing::Ok)
                && reader.info(feature).covered_from_ms.is_none(),
            origins: parts.iter().map(|(r, part)| (r.to_string(), part.info(now_ms))).collect(),
            ..Default::default()
        }),
    })
}

fn info(
    pane: &PaneView<'_>,
    specs: &[lattice::CellSpec],
    cell: usize,
) -> Result<v1::PaneInfo, lattice::DecodeError> {
    let cells = Cells::decode(specs, pane.cells)?;
    let header = cells.header();
    Ok(v1::PaneInfo {
        region: pane.origin.region.to_string(),
        partition: pane.origin.partition,
        topic_id: format!("{:?}", pane.origin.topic),
        start_ms: (pane.span.width_s != 0).then_some(pane.span.start_ms),
        version: pane.version,
        events: header.events,
        first_event_ms: header.first_event_ms,
        last_event_ms: header.last_event_ms,
        value: Some((&cells.value(cell)).into()),
        bytes: pane.cells.len() as u32,
    })
}
