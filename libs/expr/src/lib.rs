//! CEL expressions: typed at definition, evaluated at fold or read, pure.
//!
//! The `cel` crate gives the language and its parser. It has no type checker, its interpreter
//! knows no three-valued logic, and it truncates integer division; so [`Expr::check`] types the
//! parsed tree itself and keeps it as a small tree over [`Input`]s. Nothing is built per event.
//!
//! Rules beyond CEL's: every value may be null. An operator on null gives null, but `==` and `!=`
//! compare with it, and `&&` and `||` are three-valued (`false && null` is false). Numbers are
//! doubles, integers too, exact up to 2^53. What is no finite number (`1 / 0`) is null. Nothing
//! reads a clock.

mod check;
mod node;
mod parse;

use std::sync::Arc;

use lattice::{Input, Type, Value};

use node::Node;

/// The longest expression, in bytes. It bounds the nesting too, and with that the stack.
pub const MAX_BYTES: usize = 1024;

/// A checked expression over named, typed variables. Cheap to clone; may be shared by threads.
#[derive(Clone)]
pub struct Expr(Arc<Checked>);

struct Checked {
    text: String,
    result: Type,
    reads: Vec<usize>,
    root: Node,
}

/// A variable that an expression may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// As written in the expression.
    pub name: Arc<str>,
    /// Its type when it is not null.
    pub kind: Type,
    /// Whether it may be null.
    pub nullable: bool,
}

/// Why an expression was refused. `offset` is a byte offset into the expression's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExprError {
    /// One line that names the thing and the way out.
    pub message: String,
    /// Where in the text.
    pub offset: Option<usize>,
}

impl Expr {
    /// Parses and types `text`. Unknown names, wrong types and clocks are refused here.
    pub fn check(text: &str, variables: &[Variable]) -> Result<Self, ExprError> {
        let parsed = parse::parse(text)?;
        let checked = check::check(&parsed, variables)?;
        Ok(Self(Arc::new(Checked {
            text: text.to_owned(),
            result: checked.result,
            reads: checked.reads,
            root: checked.root,
        })))
    }

    /// The type of the result (numbers are doubles).
    #[must_use]
    pub fn result(&self) -> Type {
        self.0.result
    }

    /// The text as written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Indices into the variables given to [`Expr::check`] that the expression reads, ascending.
    #[must_use]
    pub fn reads(&self) -> &[usize] {
        &self.0.reads
    }

    /// Evaluates over values in the order of the variables given to [`Expr::check`]. A value that
    /// is missing is null; one of another type than declared equals nothing, and is null to every
    /// other operator.
    #[must_use]
    pub fn eval(&self, values: &[Input<'_>]) -> Value {
        self.0.root.eval(values).to_value()
    }

    /// [`Expr::eval`], null taken as false.
    #[must_use]
    pub fn holds(&self, values: &[Input<'_>]) -> bool {
        self.0.root.eval(values) == Input::Bool(true)
    }
}

impl std::fmt::Debug for Expr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text())
    }
}
