//! Runs detection rules on arriving blocks.
