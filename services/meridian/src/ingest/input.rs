//! Events out of a file: the bytes of each, as they are. What is in them is the contract's business
//! and not ours: a broken line must arrive as it is, in the dead letters.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use catalog::Source;
use flate2::bufread::MultiGzDecoder;

use super::csv::Rows;
use crate::error::{CliError, Result};

/// The longest event, bytes.
pub(crate) const MAX_LINE_BYTES: usize = 1 << 20;
/// How much is read from a file at once.
const BUFFER_BYTES: usize = 64 << 10;

/// How a file holds events.
#[derive(Debug, Clone)]
pub(crate) enum Format {
    /// One event a line.
    Lines,
    /// One event a row, under a head that names fields of this source.
    Csv(Arc<Source>),
}

/// A file of events, or standard input.
pub(crate) struct Input {
    path: PathBuf,
    events: Events,
}

enum Events {
    Lines(Lines),
    Csv(Rows),
}

struct Lines {
    reader: Box<dyn BufRead + Send>,
    line: u64,
}

impl Input {
    /// Opens a file; `.gz` is unpacked, `-` is standard input. What is read of it, before
    /// unpacking, is counted in `read_bytes`.
    ///
    /// # Errors
    /// It cannot be read, or is a CSV without a head that can be.
    pub(crate) fn open(path: &Path, format: &Format, read_bytes: Arc<AtomicU64>) -> Result<Self> {
        let raw: Box<dyn Read + Send> = if is_stdin(path) {
            Box::new(std::io::stdin())
        } else {
            Box::new(File::open(path).map_err(CliError::file("read", path))?)
        };
        let counted = Counted { raw, read_bytes };
        let buffered = BufReader::with_capacity(BUFFER_BYTES, counted);
        let reader: Box<dyn BufRead + Send> = if is_gzip(path) {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(buffered)))
        } else {
            Box::new(buffered)
        };
        let events = match format {
            Format::Lines => Events::Lines(Lines { reader, line: 0 }),
            Format::Csv(source) => Events::Csv(Rows::new(path, reader, source.clone())?),
        };
        Ok(Self { path: path.to_owned(), events })
    }

    /// The next event; none at the end.
    ///
    /// # Errors
    /// The file cannot be read on, is cut short, or has a line that is too long for an event.
    pub(crate) fn next_event(&mut self) -> Result<Option<Bytes>> {
        match &mut self.events {
            Events::Lines(lines) => lines.next(&self.path),
            Events::Csv(rows) => rows.next(&self.path),
        }
    }
}

impl Lines {
    fn next(&mut self, path: &Path) -> Result<Option<Bytes>> {
        loop {
            let mut line = Vec::new();
            let limit = MAX_LINE_BYTES as u64 + 2;
            let read = self.reader.by_ref().take(limit).read_until(b'\n', &mut line);
            read.map_err(|e| unreadable(path, self.line, e))?;
            if line.is_empty() {
                return Ok(None);
            }
            self.line += 1;
            while line.last().is_some_and(|b| matches!(b, b'\n' | b'\r')) {
                line.pop();
            }
            if line.len() > MAX_LINE_BYTES {
                return Err(CliError::Usage(format!(
                    "{}: line {} is longer than {} bytes, which no event may be",
                    path.display(),
                    self.line,
                    MAX_LINE_BYTES
                )));
            }
            // An empty line holds no event.
            if !line.is_empty() {
                return Ok(Some(line.into()));
            }
        }
    }
}

/// Why a file cannot be read on, after so many whole lines.
pub(crate) fn unreadable(path: &Path, lines: u64, error: std::io::Error) -> CliError {
    let gzip = is_gzip(path);
    let what = match error.kind() {
        ErrorKind::UnexpectedEof if gzip => "the gzip file is cut short",
        ErrorKind::InvalidInput | ErrorKind::InvalidData if gzip => "not a sound gzip file",
        _ => return CliError::File { doing: "read on", path: path.to_owned(), error },
    };
    let path = path.display();
    CliError::Usage(format!("{path}: {what} after {lines} whole lines: fetch it again"))
}

/// The size of a file, in bytes; none of what is no plain file and may go on for ever.
///
/// # Errors
/// There is no such file.
pub(crate) fn size_bytes(path: &Path) -> Result<Option<u64>> {
    if is_stdin(path) {
        return Ok(None);
    }
    let about = path.metadata().map_err(CliError::file("read", path))?;
    if about.is_dir() {
        let message = format!("{}: a directory: name the files in it", path.display());
        return Err(CliError::Usage(message));
    }
    Ok(about.is_file().then_some(about.len()))
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

fn is_gzip(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "gz")
}

/// The format that a file's name says.
pub(crate) fn is_csv(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    name.ends_with(".csv") || name.ends_with(".csv.gz")
}

struct Counted<R> {
    raw: R,
    read_bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.raw.read(buffer)?;
        self.read_bytes.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn all(path: &Path) -> (Vec<Bytes>, Option<String>) {
        let mut input = Input::open(path, &Format::Lines, Arc::default()).unwrap();
        let mut events = Vec::new();
        loop {
            match input.next_event() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => return (events, None),
                Err(error) => return (events, Some(error.to_string())),
            }
        }
    }

    fn gzip(lines: u32) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        for n in 0..lines {
            writeln!(encoder, "{{\"id\":\"{}\"}}", n.wrapping_mul(2_654_435_761)).unwrap();
        }
        encoder.finish().unwrap()
    }

    #[test]
    fn lines_arrive_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("e.jsonl");
        std::fs::write(&path, b"{\"a\":1}\r\n\n  not json \xff\xfe\nlast").unwrap();
        let (events, error) = all(&path);
        assert_eq!(events, [&b"{\"a\":1}"[..], b"  not json \xff\xfe", b"last"]);
        assert_eq!(error, None);
    }

    #[test]
    fn gzip_files_may_be_joined() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("e.jsonl.gz");
        std::fs::write(&path, [gzip(3), gzip(4)].concat()).unwrap();
        assert_eq!(all(&path).0.len(), 7);
    }

    #[test]
    fn a_gzip_file_cut_short_gives_its_whole_lines_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("e.jsonl.gz");
        let whole = gzip(50_000);
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let (events, error) = all(&path);
        let error = error.unwrap();
        assert!(events.len() > 1_000 && events.iter().all(|e| e.ends_with(b"\"}")));
        assert!(
            error.contains("cut short") && error.contains(&events.len().to_string()),
            "{error}"
        );
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("e.jsonl");
        std::fs::write(&path, [b"{}\n".to_vec(), vec![b'x'; MAX_LINE_BYTES + 1]].concat()).unwrap();
        let (events, error) = all(&path);
        assert_eq!(events.len(), 1);
        assert!(error.unwrap().contains("line 2"));
    }
}
