//! Names, types, durations: what one scalar may be, and who collects what is wrong.

use lattice::Type;
use serde_saphyr::Spanned;

use crate::diagnostics::{Diagnostic, Place, Text};

/// Checks one file; everything wrong goes to `errors`.
pub(crate) struct Checker<'a> {
    pub(crate) text: Text<'a>,
    pub(crate) errors: &'a mut Vec<Diagnostic>,
}

impl Checker<'_> {
    pub(crate) fn place<T>(&self, at: &Spanned<T>) -> Place {
        self.text.place(at)
    }

    pub(crate) fn error<T>(&mut self, at: &Spanned<T>, message: impl Into<String>) {
        let place = self.text.place(at);
        self.errors.push(Diagnostic::new(&place, message));
    }

    /// The value, or `None` and an error there.
    pub(crate) fn ok<T, A>(&mut self, at: &Spanned<A>, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.error(at, message)).ok()
    }

    /// A key that must be there; `owner` is who lacks it.
    pub(crate) fn required<'v, T>(
        &mut self,
        owner: &Spanned<String>,
        value: Option<&'v T>,
        key: &str,
    ) -> Option<&'v T> {
        if value.is_none() {
            self.error(owner, format!("`{}` lacks `{key}`", owner.value));
        }
        value
    }

    /// The name of a thing; it becomes part of names of columns and topics.
    pub(crate) fn name(&mut self, name: &Spanned<String>) -> bool {
        self.ok(name, check_name(&name.value)).is_some()
    }

    /// A duration, or the default; between `least` and 10 years.
    pub(crate) fn duration_ms(
        &mut self,
        at: Option<&Spanned<String>>,
        (least_ms, default_ms): (i64, i64),
    ) -> Option<i64> {
        let Some(at) = at else { return Some(default_ms) };
        let parsed = clock::parse_duration_ms(&at.value).map_err(|error| error.to_string());
        let ms = self.ok(at, parsed)?;
        if (least_ms..=MAX_DURATION_MS).contains(&ms) {
            return Some(ms);
        }
        let least = clock::format_duration(least_ms);
        self.error(at, format!("{} is not allowed; use {least} to 3650d", at.value));
        None
    }

    /// An expression over `variables` that must be true or false. Gives back its text.
    pub(crate) fn condition(
        &mut self,
        at: &Spanned<String>,
        variables: &[expr::Variable],
    ) -> Option<String> {
        match expr::Expr::check(&at.value, variables) {
            Ok(expr) if expr.result() == Type::Bool => Some(at.value.trim().to_owned()),
            Ok(expr) => {
                let found = type_name(expr.result());
                self.error(at, format!("the condition is a {found}; compare it with something"));
                None
            }
            Err(error) => {
                let place = self.text.within(at, error.offset);
                self.errors.push(Diagnostic::new(&place, error.message));
                None
            }
        }
    }
}

const MAX_DURATION_MS: i64 = 3_650 * 86_400_000;
const MAX_NAME: usize = 64;
const MAX_TOPIC: usize = 200;

/// Letters, digits and single underscores, so that `view__feature` is unambiguous and every name
/// is one in expressions too.
fn check_name(name: &str) -> Result<(), String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let fits = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(word);
    if fits && name.len() <= MAX_NAME && !name.contains("__") {
        return Ok(());
    }
    Err(format!(
        "`{name}` is not a name; use up to {MAX_NAME} letters, digits and single underscores, \
         beginning with a letter"
    ))
}

/// A field is a key of somebody else's JSON, so it may also begin with an underscore.
pub(crate) fn check_field(name: &str) -> Result<(), String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if begins && name.chars().all(word) && name.len() <= MAX_NAME {
        return Ok(());
    }
    Err(format!("`{name}` is not a field; use up to {MAX_NAME} letters, digits and underscores"))
}

/// What Kafka allows, without the names that the mesh makes itself.
pub(crate) fn check_topic(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty()
        || name.len() > MAX_TOPIC
        || !name.chars().all(allowed)
        || name == "."
        || name == ".."
    {
        return Err(format!(
            "`{name}` is not a topic; use up to {MAX_TOPIC} letters, digits, `.`, `_` and `-`"
        ));
    }
    if name.starts_with("mesh-") || name.contains(".mesh-") {
        return Err(format!("`{name}` is a name that the mesh keeps for itself; choose another"));
    }
    Ok(())
}

/// A region's name: it prefixes mirrored topics, so it has no dots.
pub fn check_region(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    if begins && name.len() <= 32 && name.chars().all(allowed) {
        return Ok(());
    }
    Err(format!(
        "`{name}` is not a region; use up to 32 lower-case letters, digits and `-`, beginning with \
         a letter"
    ))
}

/// `string?` is a string that may be null.
pub(crate) fn parse_type(text: &str) -> Result<(Type, bool), String> {
    let (name, nullable) = match text.strip_suffix('?') {
        Some(name) => (name, true),
        None => (text, false),
    };
    let types = [Type::Bool, Type::Int, Type::Double, Type::String, Type::Timestamp];
    let found = types.into_iter().find(|kind| type_name(*kind) == name);
    found.map(|kind| (kind, nullable)).ok_or_else(|| {
        format!(
            "`{text}` is not a type; use bool, int, double, string or timestamp, with ? where it \
             may be null"
        )
    })
}

pub(crate) fn type_name(kind: Type) -> &'static str {
    match kind {
        Type::Bool => "bool",
        Type::Int => "int",
        Type::Double => "double",
        Type::String => "string",
        Type::Timestamp => "timestamp",
    }
}

/// `64MiB`, `1GiB`, or a plain number of bytes.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let error = || format!("`{text}` is not a size; write a whole number and KiB, MiB, GiB or TiB");
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40), ("", 0)];
    let (digits, shift) = units
        .into_iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)))
        .ok_or_else(error)?;
    let number: u64 = digits.trim_end().parse().map_err(|_| error())?;
    number.checked_mul(1 << shift).ok_or_else(error)
}
