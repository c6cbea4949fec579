//! `get`: features of one entity, and how far the answer can be trusted.

use api::v1::{FeatureColumn, GetFeaturesRequest, MeshInfo, ValueList};
use serde_json::{Map, Value as Json, json};
use tonic::Status;

use crate::adapt::catalog::Known;
use crate::cli::{GetArgs, ReadArgs};
use crate::client::{self, Gateway, request};
use crate::error::Result;
use crate::mesh::Mesh;
use crate::{out, value};

/// Reads and prints.
///
/// # Errors
/// No mesh, no such feature, a key that is missing, or whatever the gateway says.
pub(super) async fn run(args: &GetArgs) -> Result<()> {
    let asked = ask(args)?;
    let mesh = Mesh::running(&args.mesh.data)?;
    known_regions(&mesh, &args.read)?;
    let asked = name(&mesh, &args.what, asked).await?;
    let mut gateway = client::any_gateway(&mesh, args.read.region.as_deref()).await?;
    let answer = read(&mut gateway, asked).await?;
    if args.read.json {
        out::json(&as_json(&answer));
    } else {
        print(&answer);
    }
    Ok(())
}

/// A region that is excluded must be one: a slip would leave nothing out, and not be noticed.
///
/// # Errors
/// It is none.
pub(super) fn known_regions(mesh: &Mesh, read: &ReadArgs) -> Result<()> {
    read.exclude_region.iter().try_for_each(|region| mesh.region(region).map(|_| ()))
}

/// What a gateway says.
pub(super) struct Answer {
    columns: Vec<(String, FeatureColumn)>,
    mesh: MeshInfo,
}

/// Asks a gateway.
///
/// # Errors
/// Whatever it says.
pub(super) async fn read(gateway: &mut Gateway, asked: GetFeaturesRequest) -> Result<Answer> {
    let failed = gateway.failed();
    let answer = gateway.client.get_features(request(asked)).await.map_err(&failed)?.into_inner();
    let columns = answer.columns().map_err(|error| failed(Status::internal(error.to_string())))?;
    let columns = answer.feature_names.into_iter().zip(columns).collect();
    Ok(Answer { columns, mesh: answer.mesh.unwrap_or_default() })
}

fn ask(args: &GetArgs) -> Result<GetFeaturesRequest> {
    let keys = value::keys(&args.keys)?.into_iter();
    Ok(GetFeaturesRequest {
        entities: keys.map(|(key, value)| (key, ValueList { values: vec![value] })).collect(),
        options: Some(value::options(&args.read)?),
        // Services may list features of one name in several views.
        full_feature_names: true,
        ..GetFeaturesRequest::default()
    })
}

/// A bare name is a service if the mesh has one of that name, else a view.
///
/// # Errors
/// No node can be asked.
pub(super) async fn name(
    mesh: &Mesh,
    what: &str,
    mut asked: GetFeaturesRequest,
) -> Result<GetFeaturesRequest> {
    let may_be_service = !what.contains([':', '@']);
    let is_service = may_be_service
        && match client::any_node(mesh).await {
            Ok(mut node) => Known::of(&mut node).await?.has_service(what),
            Err(error) => return Err(error),
        };
    if is_service {
        asked.feature_service = what.to_owned();
    } else {
        asked.features = vec![what.to_owned()];
    }
    Ok(asked)
}

fn print(Answer { columns, mesh: info }: &Answer) {
    let mut table = out::table(["feature", "value", "status", "event time", "resolution"]);
    out::right(&mut table, &[1]);
    for (name, column) in columns {
        let Some(feature) = info.features.get(name) else { continue };
        let at = column.event_timestamps_ms.first().copied().filter(|ms| *ms != 0);
        table.add_row([
            name.clone(),
            value::shown(column.values.first()),
            value::status(column.statuses.first().copied().unwrap_or_default()).to_owned(),
            value::instant(at),
            value::resolution(feature.resolution_ms),
        ]);
    }
    out::line(table.to_string());
    for (name, reason) in sorted(&info.invalid) {
        out::line(format!("{name}: {reason}"));
    }
    out::line("");
    print_mesh(info);
}

/// The origins behind an answer, and who gave it.
pub(super) fn print_mesh(info: &MeshInfo) {
    let mut table = out::table(["origin", "state", "age", "watermark"]);
    let mut origins: Vec<_> = info.origins.iter().collect();
    origins.sort_by_key(|(region, _)| *region);
    for (region, origin) in origins {
        table.add_row([
            region.clone(),
            origin.state.clone(),
            value::age(origin.age_ms),
            value::instant(origin.watermark_ms),
        ]);
    }
    out::line(table.to_string());
    let complete = if info.complete { "complete" } else { "not complete" };
    out::line(format!("served by {} ({}), {complete}", info.served_by, info.route));
}

fn as_json(Answer { columns, mesh }: &Answer) -> Json {
    let features: Map<String, Json> = columns
        .iter()
        .map(|(name, column)| {
            let at = column.event_timestamps_ms.first().copied().filter(|ms| *ms != 0);
            let of = json!({
                "value": value::json(column.values.first()),
                "status": value::status(column.statuses.first().copied().unwrap_or_default()),
                "event_time": at.map(clock::format_timestamp),
            });
            (name.clone(), of)
        })
        .collect();
    json!({ "features": features, "mesh": mesh_json(mesh) })
}

/// As the HTTP API has it.
pub(super) fn mesh_json(info: &MeshInfo) -> Json {
    let origins: Map<String, Json> = sorted(&info.origins)
        .map(|(region, origin)| {
            let of = json!({
                "state": origin.state,
                "age_ms": origin.age_ms,
                "watermark": origin.watermark_ms.map(clock::format_timestamp),
            });
            (region.clone(), of)
        })
        .collect();
    let features: Map<String, Json> = sorted(&info.features)
        .map(|(name, feature)| {
            let of = json!({
                "resolution": value::resolution(feature.resolution_ms),
                "as_of": feature.as_of_ms.map(clock::format_timestamp),
                "covered_from": feature.covered_from_ms.map(clock::format_timestamp),
            });
            (name.clone(), of)
        })
        .collect();
    json!({
        "served_by": info.served_by,
        "route": info.route,
        "as_of": info.as_of_ms.map(clock::format_timestamp),
        "complete": info.complete,
        "origins": origins,
        "token": info.token,
        "features": features,
    })
}

fn sorted<V>(map: &std::collections::HashMap<String, V>) -> impl Iterator<Item = (&String, &V)> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(name, _)| *name);
    entries.into_iter()
}
