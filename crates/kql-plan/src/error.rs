//! What can go wrong after binding: lowering a bound query.

use moneta_base::ErrorKind;

/// A failure to lower a bound query. Mistakes in the query itself are diagnostics of the binder, not errors.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The source of tables has no such table any more.
    #[error("table {table} is not there")]
    NoTable {
        /// The table.
        table: String,
    },
    /// DataFusion refused the plan.
    #[error("the plan could not be built")]
    Plan(#[from] datafusion::error::DataFusionError),
    /// The bound query asks for something that has no plan yet.
    #[error("{what} cannot be run yet")]
    Unsupported {
        /// The operator or function.
        what: String,
    },
}

impl Error {
    /// Who has to act.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoTable { .. } | Self::Unsupported { .. } => ErrorKind::Caller,
            Self::Plan(_) => ErrorKind::Internal,
        }
    }
}

/// The result of lowering.
pub type Result<T, E = Error> = std::result::Result<T, E>;
