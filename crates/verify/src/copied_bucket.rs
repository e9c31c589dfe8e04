//! A copy of a bucket in a directory, such as `aws s3 sync s3://<bucket> <directory>` makes: so that segments that were
//! moved can be checked by somebody who talks to nobody.

use std::io;
use std::path::PathBuf;

use crate::catalog::{MovedObject, MovedSegments};

/// The directory.
#[derive(Debug, Clone)]
pub struct CopiedBucket(pub PathBuf);

impl MovedSegments for CopiedBucket {
    fn read(&self, object: &MovedObject, _: u64) -> io::Result<Vec<u8>> {
        let key = object.uri.strip_prefix("s3://").and_then(|rest| rest.split_once('/')).map(|(_, key)| key);
        // A catalog may be anything: it must not lead out of the directory.
        let is_below = |key: &&str| key.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
        let key = key.filter(is_below).ok_or_else(|| io::Error::other("it is no address of an object"))?;
        std::fs::read(self.0.join(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_file_below_the_directory_and_nothing_else() {
        let dir = moneta_testkit::TestDir::new();
        std::fs::create_dir(dir.join("copy")).unwrap();
        std::fs::create_dir(dir.join("copy/a")).unwrap();
        std::fs::write(dir.join("copy/a/b.parquet"), b"rows").unwrap();
        std::fs::write(dir.join("secret"), b"not of the bucket").unwrap();
        let bucket = CopiedBucket(dir.join("copy"));
        let read = |uri: &str| bucket.read(&MovedObject { uri: uri.to_owned(), version: None }, 4);
        assert_eq!(read("s3://logs/a/b.parquet").unwrap(), b"rows");
        for uri in ["s3://logs/../secret", "s3://logs/a/../../secret", "s3://logs//etc/passwd", "file:///etc/passwd"] {
            assert!(read(uri).is_err(), "{uri}");
        }
    }
}
