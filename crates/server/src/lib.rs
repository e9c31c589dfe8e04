//! Wires the services into one process.
