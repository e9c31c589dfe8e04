//! The digest of a file, read piece by piece: the program itself may be larger than what it may hold in memory.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};

/// Bytes read at once.
const PIECE_BYTES: usize = 1 << 20;

/// SHA-256 of bytes that come piece by piece.
pub struct Sha256(Context);

impl Default for Sha256 {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl Sha256 {
    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The digest of all pieces.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        let mut digest = [0; 32];
        digest.copy_from_slice(self.0.finish().as_ref());
        digest
    }
}

/// SHA-256 of a file's content.
///
/// # Errors
/// Any I/O error.
pub fn sha256_of_file(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::default();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hasher.finish()),
            len => hasher.update(&piece[..len]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_longer_than_a_piece_has_the_digest_of_the_whole() {
        let dir = moneta_testkit::TestDir::new();
        let file = dir.join("long");
        let content = vec![7; PIECE_BYTES + 1];
        std::fs::write(&file, &content).unwrap();
        let whole = aws_lc_rs::digest::digest(&SHA256, &content);
        assert_eq!(sha256_of_file(&file).unwrap(), whole.as_ref());
        assert!(sha256_of_file(Path::new("/no/such/file")).is_err());
    }
}
