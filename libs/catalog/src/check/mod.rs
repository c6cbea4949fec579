//! YAML to checked definitions. As many errors as can be told apart are said at once.

mod aggregate;
mod on_demand;
mod scalars;
mod source;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_saphyr::Spanned;

use crate::definitions::SourceBody;
use crate::diagnostics::{Diagnostic, Place, Text};
use crate::yaml;

pub(crate) use on_demand::{OnDemandDefinition, ServiceDefinition};
pub use scalars::check_region;
pub(crate) use source::variables;
pub(crate) use view::ViewDefinition;

use scalars::Checker;

/// Shards of a mesh whose catalog does not say; they never change.
pub const DEFAULT_SHARDS: u32 = 16;
const MAX_SHARDS: u32 = 1_024;

/// A checked catalog: what [`crate::changes`] compares with what is applied.
#[derive(Debug, Clone, Default)]
pub struct Definitions {
    pub(crate) project: Option<(String, Place)>,
    pub(crate) shards: Option<(u32, Place)>,
    pub(crate) sources: Vec<(Place, SourceBody)>,
    pub(crate) views: Vec<ViewDefinition>,
    pub(crate) on_demand: Vec<OnDemandDefinition>,
    pub(crate) services: Vec<ServiceDefinition>,
}

/// A thing of one file.
type Item<'a, T> = (Text<'a>, &'a Spanned<String>, &'a T);

/// Checks the files of a catalog, given by name and text, which are read as one.
pub fn compile<N: AsRef<str>, T: AsRef<str>>(
    files: &[(N, T)],
) -> Result<Definitions, Vec<Diagnostic>> {
    let mut errors = Vec::new();
    let names: Vec<Arc<str>> = files.iter().map(|(name, _)| name.as_ref().into()).collect();
    let texts = names.iter().zip(files).map(|(name, (_, text))| Text { name, text: text.as_ref() });
    let mut parsed = Vec::new();
    for text in texts {
        match yaml::parse(text) {
            Ok(file) => parsed.push((text, file)),
            Err(error) => errors.push(error),
        }
    }
    // What a file that cannot be read would have defined is not missing from the others.
    if !errors.is_empty() {
        return Err(errors);
    }
    let definitions = all(&parsed, &mut errors);
    if errors.is_empty() { Ok(definitions) } else { Err(errors) }
}

fn all(files: &[(Text<'_>, yaml::File)], errors: &mut Vec<Diagnostic>) -> Definitions {
    let entities = gather(files, |file| file.entities.as_ref(), errors);
    let sources = gather(files, |file| file.sources.as_ref(), errors);
    let views = gather(files, |file| file.feature_views.as_ref(), errors);
    let on_demand = gather(files, |file| file.on_demand_feature_views.as_ref(), errors);
    let services = gather(files, |file| file.feature_services.as_ref(), errors);
    for (text, name, _) in &on_demand {
        if views.iter().any(|(_, view, _)| view.value == name.value) {
            let message = format!("`{}` is a feature view already; rename one", name.value);
            errors.push(Diagnostic::new(&text.place(name), message));
        }
    }

    let mut known_entities = BTreeMap::new();
    for (text, name, entity) in entities {
        let checked = source::entity(&mut Checker { text, errors }, name, entity);
        known_entities.insert(name.value.clone(), checked);
    }
    let mut known_sources = BTreeMap::new();
    let mut source_places = BTreeMap::new();
    for (text, name, source) in sources {
        let checked = source::source(&mut Checker { text, errors }, name, source);
        known_sources.insert(name.value.clone(), checked);
        source_places.insert(name.value.clone(), text.place(name));
    }
    let known = view::Known { entities: &known_entities, sources: &known_sources };
    let mut checked_views = Vec::new();
    for (text, name, view) in views {
        checked_views.extend(view::view(&mut Checker { text, errors }, name, view, &known));
    }
    let on_demand = on_demand::on_demand(&on_demand, &checked_views, errors);
    let services = services
        .into_iter()
        .filter_map(|(text, name, refs)| {
            on_demand::service(&mut Checker { text, errors }, name, refs)
        })
        .collect();
    Definitions {
        project: once(files, |file| file.project.as_ref(), "project", errors),
        shards: shards(files, errors),
        sources: known_sources
            .into_iter()
            .filter_map(|(name, source)| Some((source_places.get(&name)?.clone(), source?)))
            .collect(),
        views: checked_views,
        on_demand,
        services,
    }
}

/// The things of one kind in all files; a name may be used once.
fn gather<'a, T>(
    files: &'a [(Text<'a>, yaml::File)],
    of: impl Fn(&'a yaml::File) -> Option<&'a yaml::Names<T>>,
    errors: &mut Vec<Diagnostic>,
) -> Vec<Item<'a, T>> {
    let mut items: Vec<Item<'a, T>> = Vec::new();
    let mut places: BTreeMap<&str, Place> = BTreeMap::new();
    for (text, file) in files {
        for (name, value) in of(file).into_iter().flat_map(|names| &names.0) {
            let place = text.place(name);
            if let Some(first) = places.get(name.value.as_str()) {
                let message = format!(
                    "`{}` is defined at {}:{} already; rename one",
                    name.value, first.file, first.line
                );
                errors.push(Diagnostic::new(&place, message));
                continue;
            }
            places.insert(&name.value, place);
            items.push((*text, name, value));
        }
    }
    items
}

/// A key that stands for the whole catalog, wherever it is written.
fn once<T: Clone + PartialEq>(
    files: &[(Text<'_>, yaml::File)],
    of: impl Fn(&yaml::File) -> Option<&Spanned<T>>,
    key: &str,
    errors: &mut Vec<Diagnostic>,
) -> Option<(T, Place)> {
    let mut found: Option<(T, Place)> = None;
    for (text, file) in files {
        let Some(at) = of(file) else { continue };
        match &found {
            Some((value, first)) if *value != at.value => {
                let message = format!("`{key}` is another one at {}:{}", first.file, first.line);
                errors.push(Diagnostic::new(&text.place(at), message));
            }
            Some(_) => {}
            None => found = Some((at.value.clone(), text.place(at))),
        }
    }
    found
}

fn shards(files: &[(Text<'_>, yaml::File)], errors: &mut Vec<Diagnostic>) -> Option<(u32, Place)> {
    let (shards, place) = once(files, |file| file.shards.as_ref(), "shards", errors)?;
    if !(1..=MAX_SHARDS).contains(&shards) {
        let message = format!("{shards} shards; use 1 to {MAX_SHARDS}");
        errors.push(Diagnostic::new(&place, message));
        return None;
    }
    Some((shards, place))
}
