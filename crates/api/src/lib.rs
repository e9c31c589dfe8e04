//! HTTP: the only crate with wire types.
