//! CEL expressions: typed at definition, evaluated at fold or read, pure.

use std::sync::Arc;

use lattice::{Input, Type, Value};

/// A checked expression over named, typed variables. Cheap to clone; may be shared by threads.
#[derive(Clone)]
pub struct Expr(Arc<()>);

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
    pub fn check(_text: &str, _variables: &[Variable]) -> Result<Self, ExprError> {
        unimplemented!()
    }

    /// The type of the result (numbers are doubles).
    #[must_use]
    pub fn result(&self) -> Type {
        unimplemented!()
    }

    /// The text as written.
    #[must_use]
    pub fn text(&self) -> &str {
        unimplemented!()
    }

    /// Indices into the variables given to [`Expr::check`] that the expression reads.
    #[must_use]
    pub fn reads(&self) -> &[usize] {
        unimplemented!()
    }

    /// Evaluates over values in the order of the variables given to [`Expr::check`].
    #[must_use]
    pub fn eval(&self, _values: &[Input<'_>]) -> Value {
        unimplemented!()
    }

    /// [`Expr::eval`], null taken as false.
    #[must_use]
    pub fn holds(&self, _values: &[Input<'_>]) -> bool {
        unimplemented!()
    }
}

impl std::fmt::Debug for Expr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text())
    }
}
