//! Graphs.

/// A graph.
#[derive(Debug)]
pub struct Graph;
