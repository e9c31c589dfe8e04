//! Traits through which services meet.
