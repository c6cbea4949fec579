//! What the tests of folding and of whole meshes share: the SQL oracle, the injector, January's
//! departures. It knows nothing of Meridian's code, only of what a user was promised.

pub mod flights;
pub mod injector;
pub mod oracle;

pub use injector::{Broken, Injected, inject};
pub use oracle::{Expected, Key, Oracle};
