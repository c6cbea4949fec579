//! Catalogs: from a directory of YAML, and as a running mesh has them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::node::v1::{CatalogEntry, CatalogRequest};
use catalog::{Catalog, Change, Diagnostic, MAX_FILE_BYTES, Reference, Source};
use miette::{LabeledSpan, NamedSource, Severity, SourceCode};

use crate::client::{Node, request};
use crate::error::{CliError, Result};

pub(crate) use catalog::STARTER;

/// Most files in one catalog.
const MAX_FILES: usize = 1_000;
/// The mesh's name when its catalog names no project.
const UNNAMED: &str = "meridian";

/// Stands for the regions of a mesh that is not there yet.
const ANY_REGION: &str = "any";

/// A catalog that compiles, with its text, for saying where in it something is.
#[derive(Debug)]
pub(crate) struct Definitions {
    files: Vec<(String, String)>,
    compiled: catalog::Definitions,
}

/// Reads and checks every `.yaml` and `.yml` file of a directory; a file is taken as itself.
///
/// # Errors
/// Nothing to read, or what is wrong in it, each with its place.
pub(crate) fn compile(dir: &Path) -> Result<Definitions> {
    let files = read(dir)?;
    match catalog::compile(&files) {
        Ok(compiled) => Ok(Definitions { files, compiled }),
        Err(errors) => Err(CatalogErrors::new(&files, errors).into()),
    }
}

fn read(dir: &Path) -> Result<Vec<(String, String)>> {
    let mut paths = yaml_files(dir)?;
    paths.sort();
    let refuse = |what: String| Err(CliError::Usage(format!("{}: {what}", dir.display())));
    if paths.is_empty() {
        return refuse(
            "no .yaml file here: `meridian init DIR` writes a catalog to start from".into(),
        );
    }
    if paths.len() > MAX_FILES {
        return refuse(format!("more than {MAX_FILES} files: is this a catalog?"));
    }
    let mut files = Vec::new();
    for path in paths {
        let bytes = path.metadata().map_err(CliError::file("read", &path))?.len();
        if bytes > MAX_FILE_BYTES as u64 {
            let limit = MAX_FILE_BYTES >> 20;
            let message = format!("{}: larger than {limit} MiB: split it", path.display());
            return Err(CliError::Usage(message));
        }
        let text = std::fs::read_to_string(&path).map_err(CliError::file("read", &path))?;
        files.push((path.display().to_string(), text));
    }
    Ok(files)
}

fn yaml_files(dir: &Path) -> Result<Vec<PathBuf>> {
    if dir.is_file() {
        return Ok(vec![dir.to_owned()]);
    }
    let entries = std::fs::read_dir(dir).map_err(CliError::file("read the catalog", dir))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(CliError::file("read the catalog", dir))?.path();
        let yaml = path.extension().is_some_and(|e| e == "yaml" || e == "yml");
        if yaml && path.is_file() {
            paths.push(path);
        }
    }
    Ok(paths)
}

impl Definitions {
    /// The project that the catalog is of.
    ///
    /// # Errors
    /// The catalog does not hold together.
    pub(crate) fn project(&self) -> Result<String> {
        Ok(self.alone()?.catalog.project().unwrap_or(UNNAMED).to_owned())
    }

    /// What a region's Kafka must have for it.
    ///
    /// # Errors
    /// As of [`Definitions::project`].
    pub(crate) fn topics(&self, names: &node::Names) -> Result<Vec<node::NeededTopic>> {
        let catalog = self.alone()?.catalog;
        Ok(node::needed_topics(names, &catalog.sources(), catalog.shards_or_default()))
    }

    /// As a mesh knows it that has nothing else.
    fn alone(&self) -> Result<Known> {
        let mut alone = Known::nothing();
        for entry in changes(self, &alone, &[])?.entries() {
            alone.take(&entry)?;
        }
        Ok(alone)
    }
}

/// What a mesh has defined.
#[derive(Debug)]
pub(crate) struct Known {
    catalog: Catalog,
}

impl Known {
    /// A mesh without a catalog.
    pub(crate) fn nothing() -> Self {
        Self { catalog: Catalog::default() }
    }

    /// What a node has.
    ///
    /// # Errors
    /// It does not answer, or is of another version.
    pub(crate) async fn of(node: &mut Node) -> Result<Self> {
        let failed = node.failed();
        let asked = node.client.catalog(request(CatalogRequest { known_generation: 0 })).await;
        let mut known = Self::nothing();
        for entry in asked.map_err(failed)?.into_inner().entries {
            known.take(&entry)?;
        }
        Ok(known)
    }

    fn take(&mut self, entry: &CatalogEntry) -> Result<()> {
        let taken = self.catalog.insert(&entry.key, &entry.value);
        taken.map(|_| ()).map_err(|e| CliError::Usage(format!("the mesh's catalog: {e}")))
    }

    /// A source's newest definition.
    ///
    /// # Errors
    /// There is none of that name; says which there are.
    pub(crate) fn source(&self, name: &str) -> Result<Arc<Source>> {
        self.catalog.source(name).ok_or_else(|| {
            let known = self.catalog.sources();
            let known: Vec<&str> = known.iter().map(|s| s.name.as_ref()).collect();
            let known = if known.is_empty() { "none yet".into() } else { known.join(", ") };
            CliError::Usage(format!(
                "no source '{name}': the mesh knows {known}; `meridian apply` adds one"
            ))
        })
    }

    /// Whether there is a feature service of that name.
    pub(crate) fn has_service(&self, name: &str) -> bool {
        self.catalog.services().contains_key(name)
    }

    /// The entries that retire a view's version in these regions.
    ///
    /// # Errors
    /// There is no such view, or something reads it.
    pub(crate) fn retire(&self, reference: &str, regions: &[String]) -> Result<Vec<CatalogEntry>> {
        let usage = |e: &dyn std::fmt::Display| CliError::Usage(format!("cannot retire: {e}"));
        let reference: Reference = reference.parse().map_err(|e| usage(&e))?;
        let regions: Vec<&str> = regions.iter().map(String::as_str).collect();
        let entries = catalog::retire(&self.catalog, &reference, &regions);
        let entries = entries.map_err(|e| usage(&e))?;
        Ok(entries.into_iter().map(|(key, value)| CatalogEntry { key, value }).collect())
    }
}

/// What applying a catalog would change.
#[derive(Debug)]
pub(crate) struct Changes(catalog::Changes);

/// Compares a catalog with what a mesh of these regions has; no regions: as if it had one.
///
/// # Errors
/// A change that needs a new version, with its place.
pub(crate) fn changes(
    definitions: &Definitions,
    known: &Known,
    regions: &[String],
) -> Result<Changes> {
    let mut regions: Vec<&str> = regions.iter().map(String::as_str).collect();
    if regions.is_empty() {
        regions.push(ANY_REGION);
    }
    let changes = catalog::changes(&definitions.compiled, &known.catalog, &regions);
    changes.map(Changes).map_err(|errors| CatalogErrors::new(&definitions.files, errors).into())
}

impl Changes {
    /// For people: what is new, changed and kept, with what there is to know.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for line in &self.0.lines {
            let sign = match line.change {
                Change::Added => '+',
                Change::Changed => '~',
                Change::Unchanged => ' ',
                Change::Kept => '=',
            };
            lines.push(format!("{sign} {} {}", line.kind, line.name));
            lines.extend(line.details.iter().map(|detail| format!("    {detail}")));
        }
        let number = |change| self.0.lines.iter().filter(|l| l.change == change).count();
        lines.push(format!(
            "{} to add, {} to change, {} as they are, {} kept",
            number(Change::Added),
            number(Change::Changed),
            number(Change::Unchanged),
            number(Change::Kept)
        ));
        lines
    }

    /// What is to be appended to the catalog's topic.
    pub(crate) fn entries(self) -> Vec<CatalogEntry> {
        let entries = self.0.entries.into_iter();
        entries.map(|(key, value)| CatalogEntry { key, value }).collect()
    }
}

/// What is wrong in a catalog: a line each, then its place in the text.
#[derive(Debug, thiserror::Error)]
#[error("{}", one_line(.0))]
pub(crate) struct CatalogErrors(Vec<Located>);

fn one_line(errors: &[Located]) -> String {
    match errors {
        [only] => only.to_string(),
        [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
        [] => String::new(),
    }
}

impl CatalogErrors {
    fn new(files: &[(String, String)], errors: Vec<Diagnostic>) -> Self {
        let locate = |diagnostic: Diagnostic| {
            let text = files.iter().find(|(name, _)| *name == *diagnostic.place.file);
            let text = text.map(|(_, text)| text.clone()).unwrap_or_default();
            let text = NamedSource::new(&diagnostic.place.file, text).with_language("yaml");
            Located { diagnostic, text }
        };
        Self(errors.into_iter().map(locate).collect())
    }

    /// Each by itself.
    pub(crate) fn each(&self) -> &[Located] {
        &self.0
    }
}

impl miette::Diagnostic for CatalogErrors {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn miette::Diagnostic> + 'a>> {
        Some(Box::new(self.0.iter().map(|error| error as &dyn miette::Diagnostic)))
    }
}

/// One of them, with the text that it is about.
#[derive(Debug, thiserror::Error)]
#[error("{diagnostic}")]
pub(crate) struct Located {
    diagnostic: Diagnostic,
    text: NamedSource<String>,
}

impl miette::Diagnostic for Located {
    fn severity(&self) -> Option<Severity> {
        Some(Severity::Error)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.text)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.diagnostic.place.span.clone();
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(None, span))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_starter_is_a_catalog() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("catalog.yaml"), STARTER).unwrap();
        let definitions = compile(dir.path()).unwrap();
        assert_eq!(definitions.project().unwrap(), "starter");
        let changes = changes(&definitions, &Known::nothing(), &["us".into()]).unwrap();
        assert!(changes.lines().iter().any(|l| l.starts_with("+ source clicks")));
    }

    #[test]
    fn no_catalog_says_how_to_get_one() {
        let dir = tempfile::tempdir().unwrap();
        let error = compile(dir.path()).unwrap_err().to_string();
        assert!(error.contains("meridian init") && !error.contains('\n'), "{error}");
        let error = compile(&dir.path().join("absent")).unwrap_err().to_string();
        assert!(error.contains("absent") && !error.contains('\n'), "{error}");
    }
}
