//! Checks a store copy, a checkpoint or a proof without the server.
