//! RFC 6962 hashes, tlog tiles, proofs, checkpoints and signed notes.
