//! Lists the built pages of `web/dist/pages` for the program to compile in. It never builds them: `scripts/build-web.sh`
//! does, and without them the program says so on its only page.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

/// Files of pages at most; the build writes some thirty.
const FILES_MAX: usize = 500;

fn main() -> io::Result<()> {
    let manifest = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let dist = manifest.join("../../web/dist");
    // The directory is always there; what is in it may not be.
    println!("cargo::rerun-if-changed={}", dist.display());
    let pages = dist.join("pages");
    let mut names = Vec::new();
    if pages.join("index.html").is_file() {
        collect(&pages, "", &mut names)?;
    }
    names.sort();
    let mut list = String::from("&[\n");
    for name in &names {
        let file = |ending: &str| pages.join(format!("{name}{ending}"));
        let packed = |ending: &str| match file(ending).is_file() {
            true => format!("Some(include_bytes!({:?}))", file(ending)),
            false => "None".to_owned(),
        };
        let (brotli, gzip) = (packed(".br"), packed(".gz"));
        let plain = file("");
        writeln!(list, "File {{ path: {name:?}, plain: include_bytes!({plain:?}), brotli: {brotli}, gzip: {gzip} }},")
            .map_err(io::Error::other)?;
    }
    list.push(']');
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    std::fs::write(out.join("pages.rs"), list)
}

/// Names of the files below a directory, with `/` between their parts; packed copies are not listed.
fn collect(directory: &Path, prefix: &str, names: &mut Vec<String>) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{name}/"), names)?;
        } else if !name.ends_with(".br") && !name.ends_with(".gz") {
            names.push(name);
        }
        if names.len() > FILES_MAX {
            return Err(io::Error::other(format!("more than {FILES_MAX} files in web/dist/pages")));
        }
    }
    Ok(())
}
