//! Runs KQL over the store within limits and says what it did not read.
