//! `moneta query --export`: the result of a query as a new file, whole or not there at all.
//!
//! Bytes go to a file beside it as they come, and it takes its name only when their number and hash are those that the
//! writer says.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use moneta_api::export::{Export, ExportFormat, ExportTotals, trailers};
use moneta_host::Sha256;
use moneta_ports::{QueryEngine, QueryRequest};
use reqwest::header::HeaderMap;
use serde_json::json;

use crate::client::Client;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::target::local_context;

/// A file that is to hold a result.
pub struct ExportFile {
    path: PathBuf,
    format: ExportFormat,
}

impl ExportFile {
    /// # Errors
    /// When the ending says no form, or there is something of that name.
    pub fn new(path: &Path) -> Result<Self, Failure> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let format = ExportFormat::parse(ending).ok_or_else(|| {
            Failure::usage(format!("the ending of {} says no form to write", path.display()))
                .advise(format!("one of .{}", ExportFormat::ALL.map(ExportFormat::name).join(", .")))
        })?;
        if path.exists() {
            return Err(Failure::usage(format!("{} is there already", path.display())).advise("name a new file"));
        }
        Ok(Self { path: path.to_owned(), format })
    }

    /// Writes what an engine of this process gives.
    ///
    /// # Errors
    /// As the query fails, or the file cannot be written.
    pub async fn write_from(
        self,
        engine: &dyn QueryEngine,
        request: QueryRequest,
        console: &Console,
    ) -> Result<Exit, Failure> {
        let mut export = Export::begin(engine, &local_context(), request, self.format).await?;
        for warning in export.warnings() {
            console.say(&format!("warning: {}: {}", warning.code, warning.message));
        }
        let mut part = Part::new(&self.path)?;
        while let Some(bytes) = export.next().await? {
            part.write(&bytes)?;
        }
        let totals = export.finish().await?;
        part.finish(&self.path, &totals)?;
        self.tell(&totals, console)
    }

    /// Writes what a server sends.
    ///
    /// # Errors
    /// As the server refuses, the transfer breaks off or is not what its trailers say, or the file cannot be written.
    pub async fn download(self, client: &Client, request: &QueryRequest, console: &Console) -> Result<Exit, Failure> {
        let mut body =
            json!({ "text": request.text, "format": self.format.name(), "language": request.language.name() });
        if let Some(now) = request.now {
            body["now"] = now.to_string().into();
        }
        let mut part = Part::new(&self.path)?;
        let trailers = client.export(&body, |bytes| part.write(bytes)).await?;
        let totals = read_totals(&trailers).ok_or_else(|| {
            Failure::new(Exit::Unavailable, "the server's answer ended without saying what it was; it is not kept")
                .advise("export again, and not through a proxy that takes trailers away")
        })?;
        part.finish(&self.path, &totals)?;
        self.tell(&totals, console)
    }

    fn tell(&self, totals: &ExportTotals, console: &Console) -> Result<Exit, Failure> {
        let ExportTotals { num_rows, num_bytes, sha256 } = totals;
        if console.json {
            let file = self.path.display().to_string();
            console.value(&json!({ "file": file, "rows": num_rows, "bytes": num_bytes, "sha256": sha256 }))?;
        } else {
            console.say(&format!("{num_rows} rows, {num_bytes} bytes"));
            // The form that sha256sum --check reads.
            console.line(&format!("{sha256}  {}", self.path.display()))?;
        }
        Ok(Exit::Success)
    }
}

fn read_totals(headers: &HeaderMap) -> Option<ExportTotals> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    Some(ExportTotals {
        num_rows: text(trailers::ROWS)?.parse().ok()?,
        num_bytes: text(trailers::BYTES)?.parse().ok()?,
        sha256: text(trailers::SHA256)?.to_owned(),
    })
}

/// The bytes so far. Removed when it does not become whole.
struct Part {
    file: File,
    path: PathBuf,
    digest: Sha256,
    num_bytes: u64,
}

impl Part {
    fn new(target: &Path) -> Result<Self, Failure> {
        let mut name = target.as_os_str().to_owned();
        name.push(".part");
        let path = PathBuf::from(name);
        let file = File::create_new(&path).map_err(|error| match error.kind() {
            // Another export may be writing it, or it is the user's own.
            io::ErrorKind::AlreadyExists => {
                failed(&path, error).advise("remove it if nothing is writing it, or name another file")
            }
            _ => failed(&path, error),
        })?;
        Ok(Self { file, path, digest: Sha256::default(), num_bytes: 0 })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.digest.update(bytes);
        self.num_bytes += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|error| failed(&self.path, error))
    }

    /// Gives the file its name if it is what it should be.
    fn finish(mut self, target: &Path, totals: &ExportTotals) -> Result<(), Failure> {
        let digest = std::mem::take(&mut self.digest).finish();
        let hex = moneta_merkle::Hash(digest).to_hex();
        if (self.num_bytes, &hex) != (totals.num_bytes, &totals.sha256) {
            let message = "what came is not what the server says it sent; it is not kept";
            return Err(Failure::new(Exit::Unavailable, message).advise("export again"));
        }
        self.file.sync_all().and_then(|()| std::fs::rename(&self.path, target)).map_err(|error| failed(target, error))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // After the renaming there is nothing of this name.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn failed(path: &Path, error: std::io::Error) -> Failure {
    Failure::io(format!("cannot write {}", path.display()), error)
}
