//! The real outside world: files, clock, randomness, directory lock.
