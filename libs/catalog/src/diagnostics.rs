//! What is wrong with a catalog's text, and where.

use std::ops::Range;
use std::sync::Arc;

use serde_saphyr::{Location, Spanned};

/// A stretch of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file's name as it was given.
    pub file: Arc<str>,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// Bytes of the file, for whoever shows them.
    pub span: Range<usize>,
}

/// One thing that is wrong: a line that names it and the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{}:{}: {message}", place.file, place.line, place.column)]
pub struct Diagnostic {
    /// Where.
    pub place: Place,
    /// What, in one line.
    pub message: String,
}

impl Diagnostic {
    /// Names are quoted as they were written, and YAML may write anything: it stays one line.
    pub(crate) fn new(place: &Place, message: impl Into<String>) -> Self {
        let message = message.into().replace(char::is_control, " ");
        Self { place: place.clone(), message }
    }
}

/// A file of the catalog: finds places in its text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'a> {
    pub(crate) name: &'a Arc<str>,
    pub(crate) text: &'a str,
}

impl Text<'_> {
    /// Where a value was written. What came in through an anchor or `<<` is where it was written
    /// first: that is the text to change.
    pub(crate) fn place<T>(&self, value: &Spanned<T>) -> Place {
        self.located(value.defined)
    }

    pub(crate) fn located(&self, at: Location) -> Place {
        let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let (line, column) = (number(at.line()).max(1), number(at.column()).max(1));
        let start = at.span().byte_offset().map_or_else(|| self.offset(line, column), number);
        let len = at.span().byte_len().map_or(0, number);
        let span = self.clamp(start)..self.clamp(start.saturating_add(len));
        Place { file: self.name.clone(), line, column, span }
    }

    /// The place `offset` bytes into an expression that is the value of a scalar. Where quotes or
    /// folding hide the position, the whole scalar.
    pub(crate) fn within(&self, scalar: &Spanned<String>, offset: Option<usize>) -> Place {
        let whole = self.place(scalar);
        let Some(offset) = offset else { return whole };
        let head = self.text.get(whole.span.start..).unwrap_or_default();
        let quote = usize::from(head.starts_with(['"', '\'']));
        if !head.get(quote..).is_some_and(|text| text.starts_with(&scalar.value)) {
            return whole;
        }
        self.at(whole.span.start + quote + offset)
    }

    fn at(&self, offset: usize) -> Place {
        let offset = self.clamp(offset);
        let before = self.text.get(..offset).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let end = self.clamp(offset + 1);
        Place { file: self.name.clone(), line, column, span: offset..end }
    }

    fn offset(&self, line: usize, column: usize) -> usize {
        let start: usize = self.text.split_inclusive('\n').take(line - 1).map(str::len).sum();
        let rest = self.text.get(start..).unwrap_or_default();
        start + rest.char_indices().nth(column - 1).map_or(rest.len(), |(at, _)| at)
    }

    /// The nearest boundary of a character at or after `offset`.
    fn clamp(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset += 1;
        }
        offset
    }
}
