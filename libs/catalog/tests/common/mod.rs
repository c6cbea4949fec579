//! The example catalogs, and catalogs applied to them.
#![allow(dead_code, reason = "each test binary uses a part")]

use catalog::{Catalog, Changes, Diagnostic, changes, compile};

pub(crate) const DEPARTURES: &str =
    include_str!("../../../../examples/departures/catalog/departures.yaml");
pub(crate) const FRAUD: &str = include_str!("../../../../examples/fraud/catalog/fraud.yaml");

/// Compiles one file and compares it with a catalog.
pub(crate) fn plan(
    text: &str,
    catalog: &Catalog,
    regions: &[&str],
) -> Result<Changes, Vec<Diagnostic>> {
    changes(&compile(&[("c.yaml", text)])?, catalog, regions)
}

/// Applies one file to a catalog, which must accept it.
pub(crate) fn apply(text: &str, catalog: &mut Catalog, regions: &[&str]) -> Changes {
    let changes = plan(text, catalog, regions).unwrap_or_else(|errors| panic!("{}", said(&errors)));
    take(&changes.entries, catalog);
    changes
}

/// Appends entries.
pub(crate) fn take(entries: &[(bytes::Bytes, bytes::Bytes)], catalog: &mut Catalog) {
    for (key, value) in entries {
        catalog.insert(key, value).unwrap();
    }
}

/// A fresh catalog with one file applied in these regions.
pub(crate) fn applied(text: &str, regions: &[&str]) -> Catalog {
    let mut catalog = Catalog::default();
    apply(text, &mut catalog, regions);
    catalog
}

/// Diagnostics, a line each.
pub(crate) fn said(errors: &[Diagnostic]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
