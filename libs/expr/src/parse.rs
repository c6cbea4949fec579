//! Text to `cel`'s tree, with bounds that its parser lacks.

use cel::ParseErrors;
use cel::common::ast::{IdedExpr, SourceInfo};
use cel::parser::Parser;

use crate::{ExprError, MAX_BYTES};

/// A parsed expression, with where its parts stand.
pub(crate) struct Parsed {
    pub(crate) root: IdedExpr,
    info: SourceInfo,
}

impl Parsed {
    /// An error at this part of the expression.
    pub(crate) fn error(&self, at: &IdedExpr, message: impl Into<String>) -> ExprError {
        let offset = self.info.offset_for(at.id).map(|(start, _)| start as usize);
        ExprError { message: message.into(), offset }
    }
}

/// The parser and the trees it makes recurse along chains (`a + a + …`), which its own limit does
/// not count; the bound on the length does.
pub(crate) fn parse(text: &str) -> Result<Parsed, ExprError> {
    if text.len() > MAX_BYTES {
        let message = format!("the expression has {} bytes; {MAX_BYTES} are allowed", text.len());
        return Err(ExprError { message, offset: None });
    }
    match Parser::new().parse_with_source_info(text) {
        Ok((root, info)) => Ok(Parsed { root, info }),
        Err(errors) => Err(first_error(text, &errors)),
    }
}

/// One line of the first error; what follows it is mostly its echo.
fn first_error(text: &str, errors: &ParseErrors) -> ExprError {
    let Some(first) = errors.errors.first() else {
        return ExprError { message: "not an expression".into(), offset: None };
    };
    let message = first.msg.lines().next().unwrap_or_default();
    let message = match message {
        m if m.contains("Recursion limit") => "the expression nests too deep; split it up".into(),
        m if m.contains("'<EOF>' expecting") => "the expression ends too early".into(),
        m if m.contains("has() macro") => "has() is not needed: write `name != null`".into(),
        m => {
            let m = m.strip_prefix("Syntax error: ").unwrap_or(m);
            m.split(" expecting {").next().unwrap_or(m).to_owned()
        }
    };
    ExprError { message, offset: byte_offset(text, first.pos) }
}

/// `cel` counts lines and columns from 1, columns in characters.
fn byte_offset(text: &str, (line, column): (isize, isize)) -> Option<usize> {
    let line = usize::try_from(line).ok()?.checked_sub(1)?;
    let column = usize::try_from(column).ok()?.checked_sub(1)?;
    let mut lines = text.split('\n');
    let start: usize = lines.by_ref().take(line).map(|l| l.len() + 1).sum();
    let rest = text.get(start..)?;
    let within = rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at);
    Some(start + within)
}
