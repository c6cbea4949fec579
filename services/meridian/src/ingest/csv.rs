//! Rows of a CSV file as JSON objects, typed by the source's fields. A cell that is no value of
//! its field's type goes as the text it is: the contract tells what is wrong with it.

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use catalog::Source;
use csv::{ByteRecord, Reader, ReaderBuilder};
use lattice::Type;
use serde_json::{Map, Value as Json};

use super::input::unreadable;
use crate::error::{CliError, Result};

/// The rows of a file.
pub(crate) struct Rows {
    reader: Reader<Box<dyn BufRead + Send>>,
    source: Arc<Source>,
    head: Vec<String>,
    row: u64,
}

impl Rows {
    /// Reads the head.
    ///
    /// # Errors
    /// There is none, or it names no field of the source.
    pub(crate) fn new(
        path: &Path,
        reader: Box<dyn BufRead + Send>,
        source: Arc<Source>,
    ) -> Result<Self> {
        let mut reader = ReaderBuilder::new().flexible(true).from_reader(reader);
        let head = reader.byte_headers().map_err(|e| broken(path, 0, e))?;
        let head: Vec<String> =
            head.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect();
        if !source.fields.iter().any(|field| head.iter().any(|name| **name == *field.name)) {
            return Err(CliError::Usage(format!(
                "{}: the first row names no field of source '{}': a CSV file needs a head",
                path.display(),
                source.name
            )));
        }
        Ok(Self { reader, source, head, row: 0 })
    }

    /// The next row as JSON.
    ///
    /// # Errors
    /// The file cannot be read on.
    pub(crate) fn next(&mut self, path: &Path) -> Result<Option<Bytes>> {
        let mut record = ByteRecord::new();
        if !self.reader.read_byte_record(&mut record).map_err(|e| broken(path, self.row, e))? {
            return Ok(None);
        }
        self.row += 1;
        let mut event = Map::new();
        for (name, cell) in self.head.iter().zip(&record) {
            let field = self.source.fields.iter().find(|field| *field.name == **name);
            let kind = field.map(|field| (field.kind, field.nullable));
            event.insert(name.clone(), typed(kind, &String::from_utf8_lossy(cell)));
        }
        Ok(Some(Json::Object(event).to_string().into()))
    }
}

/// A cell as a value. Empty is null, except for a string that must be there: that is empty text.
fn typed(field: Option<(Type, bool)>, cell: &str) -> Json {
    let text = || Json::from(cell);
    match field {
        Some((Type::String, false)) => text(),
        _ if cell.is_empty() => Json::Null,
        Some((Type::Int, _)) => cell.parse::<i64>().map_or_else(|_| text(), Json::from),
        Some((Type::Double, _)) => match cell.parse::<f64>() {
            Ok(number) if number.is_finite() => Json::from(number),
            _ => text(),
        },
        Some((Type::Bool, _)) => cell.parse::<bool>().map_or_else(|_| text(), Json::from),
        Some((Type::String | Type::Timestamp, _)) | None => text(),
    }
}

fn broken(path: &Path, rows: u64, error: csv::Error) -> CliError {
    let text = error.to_string();
    match error.into_kind() {
        csv::ErrorKind::Io(error) => unreadable(path, rows, error),
        _ => CliError::Usage(format!("{}: after row {rows}: {text}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cells_are_typed_by_their_field() {
        let int = Some((Type::Int, false));
        let double = Some((Type::Double, true));
        assert_eq!(typed(int, "42"), json!(42));
        assert_eq!(typed(double, "42"), json!(42.0));
        assert_eq!(typed(double, ""), Json::Null);
        assert_eq!(typed(Some((Type::Bool, false)), "true"), json!(true));
        assert_eq!(typed(Some((Type::String, false)), "42"), json!("42"));
        assert_eq!(typed(Some((Type::String, false)), ""), json!(""));
        assert_eq!(typed(Some((Type::String, true)), ""), Json::Null);
        let time = "2013-01-01T10:17:00Z";
        assert_eq!(typed(Some((Type::Timestamp, false)), time), json!(time));
    }

    #[test]
    fn what_does_not_fit_stays_text_for_the_contract_to_name() {
        assert_eq!(typed(Some((Type::Int, false)), "4x"), json!("4x"));
        assert_eq!(
            typed(Some((Type::Int, false)), "99999999999999999999"),
            json!("99999999999999999999")
        );
        assert_eq!(typed(Some((Type::Double, false)), "NaN"), json!("NaN"));
        assert_eq!(typed(None, "x"), json!("x"));
    }
}
