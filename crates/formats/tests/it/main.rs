//! Tests of the decoders through the public interface.

mod archives;
mod corpus;
mod evtx;
mod goldens;
mod hostile;
mod support;
