//! Log formats: bytes in, table rows out.
