//! The file system under the data directory, with a file that keeps a part of it in reserve.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use moneta_ports::{Space, Volume};

/// File that takes the room of the reserve while the server runs.
pub(crate) const RESERVE_FILE: &str = "reserve";
/// The reserve is one part in so many of the volume at most: on a small disk a gigabyte would be most of it.
const RESERVE_SHARE: u64 = 100;

/// The volume of a data directory.
#[derive(Debug)]
pub(crate) struct DataVolume {
    data: PathBuf,
    reserve_bytes: u64,
}

impl DataVolume {
    /// `reserve_bytes` as configured; what is kept is a hundredth of the volume at most.
    pub(crate) fn new(data: &Path, reserve_bytes: u64) -> Self {
        let share = moneta_host::disk_free(data).map_or(0, |space| space.total_bytes / RESERVE_SHARE);
        Self { data: data.to_owned(), reserve_bytes: reserve_bytes.min(share) }
    }
}

impl Volume for DataVolume {
    fn space(&self) -> io::Result<Space> {
        let space = moneta_host::disk_free(&self.data).map_err(io::Error::other)?;
        // As df(1) counts: what is kept for root, or beyond a quota, is neither used nor to be had.
        Ok(Space { total_bytes: space.used_bytes + space.available_bytes, available_bytes: space.available_bytes })
    }

    fn reserve_bytes(&self) -> u64 {
        self.reserve_bytes
    }

    fn set_aside(&self) -> io::Result<()> {
        let path = self.data.join(RESERVE_FILE);
        let taken = moneta_host::allocate(&path, self.reserve_bytes);
        if taken.is_err() {
            // A part of it is of no use to anybody.
            let _ = fs::remove_file(&path);
        }
        taken
    }

    fn give(&self) -> io::Result<()> {
        match fs::remove_file(self.data.join(RESERVE_FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}
