//! Inputs: files, journal, host metrics, syslog listeners.
