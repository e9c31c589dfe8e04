//! Helpers for tests: simulated files, fixed clocks, sample events.
