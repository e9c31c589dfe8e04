//! Key files: the log signer, token keys and secrets.
