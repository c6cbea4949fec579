//! What names came to, kept for as long as the catalog and what has caught up stay as they are:
//! callers ask for the same few lists of features over and over.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use catalog::{Ask, Catalog, ResolveError, Resolved, resolve};
use parking_lot::RwLock;

/// Columns that are kept in all; with more, all are forgotten, and found out again when asked for.
const MOST_COLUMNS: usize = 100_000;

/// The versions of views (`view@v2`) that have caught up.
pub(crate) type Covered = HashSet<String>;

/// By what names become what is read.
#[derive(Clone, Default)]
pub(crate) struct Names {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) covered: Arc<Covered>,
}

/// Resolved requests.
#[derive(Default)]
pub(crate) struct Resolutions {
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    names: Names,
    resolved: HashMap<Vec<u8>, Arc<Resolved>>,
    columns: usize,
}

impl PartialEq for Names {
    fn eq(&self, other: &Self) -> bool {
        let covered = Arc::ptr_eq(&self.covered, &other.covered) || self.covered == other.covered;
        covered && Arc::ptr_eq(&self.catalog, &other.catalog)
    }
}

impl Resolutions {
    /// What this asks for.
    ///
    /// # Errors
    /// Those of [`resolve`].
    pub(crate) fn get(&self, names: &Names, ask: &Ask<'_>) -> Result<Arc<Resolved>, ResolveError> {
        let key = key(ask);
        if let Some(resolved) = self.known.read().find(names, &key) {
            return Ok(resolved);
        }
        let covered = |view: &str, version| names.covered.contains(&format!("{view}@v{version}"));
        let resolved = Arc::new(resolve(&names.catalog, ask, &covered)?);
        self.known.write().keep(names, key, &resolved);
        Ok(resolved)
    }
}

impl Known {
    fn find(&self, names: &Names, key: &[u8]) -> Option<Arc<Resolved>> {
        if self.names == *names { self.resolved.get(key).cloned() } else { None }
    }

    fn keep(&mut self, names: &Names, key: Vec<u8>, resolved: &Arc<Resolved>) {
        if self.names != *names || self.columns >= MOST_COLUMNS {
            *self = Self { names: names.clone(), ..Self::default() };
        }
        self.columns += resolved.columns.len();
        self.resolved.insert(key, resolved.clone());
    }
}

/// Different for whatever differs: each name comes with its length.
fn key(ask: &Ask<'_>) -> Vec<u8> {
    // A service wins; the features beside it mean nothing.
    let features = if ask.service.is_some() { &[] } else { ask.features };
    let names = ask.service.into_iter().chain(features.iter().map(String::as_str));
    let bytes = names.clone().map(|name| name.len() + 8).sum::<usize>();
    let mut key = Vec::with_capacity(bytes + 2);
    key.extend([u8::from(ask.full_names), u8::from(ask.service.is_some())]);
    for name in names {
        key.extend_from_slice(&name.len().to_le_bytes());
        key.extend_from_slice(name.as_bytes());
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_came_to_is_known_for_as_long_as_they_mean_the_same() {
        let names = |covered: &[&str]| Names {
            covered: Arc::new(covered.iter().map(|view| (*view).to_owned()).collect()),
            catalog: Arc::default(),
        };
        let mut known = Known::default();
        let before = names(&["a@v1"]);
        known.keep(&before, vec![1], &Arc::default());
        let same = Names { covered: names(&["a@v1"]).covered, ..before.clone() };
        assert!(known.find(&same, &[1]).is_some() && known.find(&same, &[2]).is_none());
        let other_catalog = Names { catalog: Arc::default(), ..before.clone() };
        let caught_up = Names { covered: names(&["a@v1", "a@v2"]).covered, ..before };
        for other in [other_catalog, caught_up] {
            assert!(known.find(&other, &[1]).is_none());
        }
    }

    #[test]
    fn what_differs_has_another_key() {
        let lists: [&[&str]; 5] = [&["ab", "c"], &["a", "bc"], &["abc"], &[], &["c", "ab"]];
        let mut keys = HashSet::new();
        for list in lists {
            let features: Vec<String> = list.iter().map(|name| (*name).to_owned()).collect();
            for full_names in [false, true] {
                assert!(keys.insert(key(&Ask { service: None, features: &features, full_names })));
            }
        }
        let service = |features| key(&Ask { service: Some("abc"), features, full_names: false });
        assert!(keys.insert(service(&[])));
        assert_eq!(service(&[]), service(&["beside".to_owned()]));
    }
}
