//! Which aggregates there are: the only place, beside [`Kind`] and an aggregate's own file, that a
//! new one touches.

use super::{CellSpec, Kind, Stamp};
use super::{count, distinct, edge, extreme, mean, moments, quantile, share, sum};
use crate::codec::DecodeError;
use crate::value::{Input, Type, Value};

/// What starts out empty.
pub(super) trait New: Sized {
    /// Of no events, of no cells.
    fn new(spec: CellSpec) -> Self;
}

/// An aggregate as a fold keeps it: the state of one cell of one pane.
///
/// Laws: a new state writes nothing; `read` into a new state of what `write` wrote gives an equal
/// one; and equal states write equal bytes.
pub(super) trait Aggregate: New {
    /// The same aggregate as a reader keeps it.
    type Union: Union;

    /// What a cell costs in bytes, as a rule.
    const TYPICAL_BYTES: usize;

    /// The type of the aggregate over inputs of a type, if it takes them.
    fn output(input: Type) -> Option<Type>;

    /// Folds in an input: null, or of the spec's type and not NaN.
    fn fold(&mut self, input: Input<'_>, at: Stamp);

    /// Reads into a new state what [`Aggregate::write`] wrote and is not empty.
    fn read(&mut self, cell: &[u8]) -> Result<(), DecodeError>;

    /// Appends the canonical bytes; nothing for a new state.
    fn write(&self, out: &mut Vec<u8>);
}

/// An aggregate as a reader keeps it: the union of the cells of many panes, taken in as bytes.
pub(super) trait Union: New {
    /// Takes in what [`Aggregate::write`] wrote and is not empty. Cells come ordered by (origin,
    /// span). After an error the union is of no use.
    fn absorb(&mut self, cell: &[u8]) -> Result<(), DecodeError>;

    /// The feature's value.
    fn value(&self) -> Value;
}

macro_rules! aggregates {
    ($($pattern:pat => $name:ident($state:ty)),+ $(,)?) => {
        /// Any aggregate's state in a fold.
        #[derive(Clone, PartialEq, Debug)]
        pub(super) enum AnyState { $($name($state)),+ }

        /// Any aggregate's union in a read.
        pub(super) enum AnyUnion { $($name(<$state as Aggregate>::Union)),+ }

        impl AnyState {
            pub(super) fn new(spec: CellSpec) -> Self {
                match spec.kind { $($pattern => Self::$name(New::new(spec))),+ }
            }

            pub(super) fn fold(&mut self, input: Input<'_>, at: Stamp) {
                match self { $(Self::$name(state) => state.fold(input, at)),+ }
            }

            pub(super) fn read(&mut self, cell: &[u8]) -> Result<(), DecodeError> {
                match self { $(Self::$name(state) => state.read(cell)),+ }
            }

            pub(super) fn write(&self, out: &mut Vec<u8>) {
                match self { $(Self::$name(state) => state.write(out)),+ }
            }
        }

        impl AnyUnion {
            pub(super) fn new(spec: CellSpec) -> Self {
                match spec.kind {
                    $($pattern => Self::$name(New::new(spec))),+
                }
            }

            pub(super) fn absorb(&mut self, cell: &[u8]) -> Result<(), DecodeError> {
                match self { $(Self::$name(union) => union.absorb(cell)),+ }
            }

            pub(super) fn value(&self) -> Value {
                match self { $(Self::$name(union) => union.value()),+ }
            }
        }

        pub(super) fn output(spec: CellSpec) -> Option<Type> {
            match spec.kind { $($pattern => <$state>::output(spec.input)),+ }
        }

        pub(super) fn typical_bytes(spec: CellSpec) -> usize {
            match spec.kind { $($pattern => <$state>::TYPICAL_BYTES),+ }
        }
    };
}

aggregates! {
    Kind::Count => Count(count::Count),
    Kind::Sum => Sum(sum::Sum),
    Kind::Mean => Mean(mean::Mean),
    Kind::Min | Kind::Max => Extreme(extreme::Extreme),
    Kind::First | Kind::Last => Edge(edge::Edge),
    Kind::Variance | Kind::Stddev => Moments(moments::Moments),
    Kind::Distinct { .. } => Distinct(distinct::Distinct),
    Kind::Quantile { .. } => Quantile(quantile::Quantile),
    Kind::Share => Share(share::Share),
}
