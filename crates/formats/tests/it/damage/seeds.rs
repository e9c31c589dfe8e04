//! Inputs that damage begins with: those of these tests, and real samples where they are present.

use std::path::{Path, PathBuf};

use moneta_formats::{Format, HEAD_BYTES, recognise};
use moneta_testkit::corpus;

use crate::{archives, evtx, reports, texts};

/// Bytes of one seed at most, and of all seeds of one format from the corpus.
const SEED_BYTES_MAX: usize = 16 << 10;
const SEEDS_MAX: usize = 60;

/// A well-formed input written for these tests.
pub fn own(format: Format) -> Vec<u8> {
    let lines = b"{\"a\":1}\n{\"a\":\"two\"}\n";
    match format {
        Format::Evtx => evtx::file(&[evtx::chunk(&[("Security", "2026-06-01T12:00:00Z"); 3]).0]),
        Format::Aide => reports::AIDE_REPORT.into(),
        Format::CallReport => reports::VQ_REPORT.into(),
        Format::RtcpXr => {
            format!("1780308000.250\t192.0.2.1\t5005\t198.51.100.2\t5007\t{}\n", reports::VOIP_PACKET).into()
        }
        Format::JournalExport => [reports::journal_entry(), b"__CURSOR=b\nMESSAGE=x\n\n".to_vec()].concat(),
        Format::Unified2 => [
            reports::snort_event(7, [&[192, 0, 2, 7], &[198, 51, 100, 1]]),
            [&2u32.to_be_bytes()[..], &4u32.to_be_bytes(), b"GET "].concat(),
            reports::snort_event(72, [&[0x20; 16], &[0xfe; 16]]),
        ]
        .concat(),
        Format::Zip => archives::zip_of(&[("a.json", lines), ("b", b"x")], zip::CompressionMethod::Deflated),
        Format::Gzip => archives::gzip_of(lines),
        Format::Zstd => archives::zstd_of(lines),
        _ => texts::SAMPLES.iter().find(|(known, _)| *known == format).expect("a sample per format").1.into(),
    }
}

/// All seeds of a format.
pub fn all(format: Format) -> Vec<Vec<u8>> {
    let mut seeds = vec![own(format)];
    let Some(root) = corpus() else { return seeds };
    let mut paths = Vec::new();
    below(&root.join("samples"), &mut paths);
    for path in paths {
        if seeds.len() >= SEEDS_MAX {
            break;
        }
        let bytes = std::fs::read(&path).unwrap();
        let head = &bytes[..bytes.len().min(HEAD_BYTES)];
        if recognise(&path.to_string_lossy(), head) == Some(format) {
            // Whole lines of texts, so that what is cut off is not the only damage.
            let cut = bytes.len().min(if format == Format::Evtx { 3 << 15 } else { SEED_BYTES_MAX });
            let end = bytes[..cut].iter().rposition(|b| *b == b'\n').map_or(cut, |at| at + 1);
            seeds.push(bytes[..if cut == bytes.len() || end == 0 { cut } else { end }].to_vec());
        }
    }
    seeds
}

/// Files below a directory, those of one folder next to each other, in an order that takes from each folder in turn.
fn below(root: &Path, paths: &mut Vec<PathBuf>) {
    let entries = |path: &Path| {
        let mut found: Vec<_> = std::fs::read_dir(path).into_iter().flatten().flatten().map(|e| e.path()).collect();
        found.sort();
        found
    };
    let folders: Vec<Vec<PathBuf>> = entries(root).iter().map(|folder| entries(folder)).collect();
    for index in 0..folders.iter().map(Vec::len).max().unwrap_or(0) {
        paths.extend(folders.iter().filter_map(|files| files.get(index)).filter(|path| path.is_file()).cloned());
    }
}
