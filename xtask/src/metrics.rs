//! Sizes of functions and files, documentation and unwraps, printed beside the targets. Blocks nobody.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;

use crate::source::{self, SourceFile};

/// Measures the product code and renders the report.
///
/// # Errors
/// When a file cannot be read.
pub fn measure(root: &Path) -> Result<String> {
    let files: Vec<SourceFile> = source::read_all(root)?.into_iter().filter(|file| !file.is_test()).collect();
    let mut report = String::new();
    write_functions(&mut report, &files);
    write_files(&mut report, &files);
    write_documentation(&mut report, &files);
    write_unwraps(&mut report, &files);
    Ok(report)
}

fn write_functions(report: &mut String, files: &[SourceFile]) {
    let mut functions: Vec<(usize, String)> = Vec::new();
    for file in files {
        functions.extend(
            file.functions().into_iter().map(|f| (f.length, format!("{}:{} {}", file.path.display(), f.line, f.head))),
        );
    }
    functions.sort();
    let lengths: Vec<usize> = functions.iter().map(|(length, _)| *length).collect();
    let share = |limit: usize| percent(lengths.iter().filter(|length| **length > limit).count(), lengths.len());
    let _ = writeln!(report, "functions            {:>8}", lengths.len());
    let _ = writeln!(report, "  median lines       {:>8}   target < 10", quantile(&lengths, 50));
    let _ = writeln!(report, "  p90 lines          {:>8}   target < 40", quantile(&lengths, 90));
    let _ = writeln!(report, "  p99 lines          {:>8}", quantile(&lengths, 99));
    let _ = writeln!(report, "  above 70 lines     {:>7.1}%   target about 3.3%", share(70));
    for (length, place) in functions.iter().rev().take(5) {
        let _ = writeln!(report, "    {length:>4}  {place}");
    }
}

fn write_files(report: &mut String, files: &[SourceFile]) {
    let mut lengths: Vec<(usize, String)> =
        files.iter().map(|f| (f.text.lines().count(), f.path.display().to_string())).collect();
    lengths.sort();
    let sizes: Vec<usize> = lengths.iter().map(|(length, _)| *length).collect();
    let _ = writeln!(report, "files                {:>8}   {} lines", sizes.len(), sizes.iter().sum::<usize>());
    let _ = writeln!(report, "  median lines       {:>8}   target 100 to 500", quantile(&sizes, 50));
    let _ = writeln!(
        report,
        "  above 1,000 lines  {:>8}   target: only one cohesive table or match",
        sizes.iter().filter(|s| **s > 1000).count()
    );
    for (length, place) in lengths.iter().rev().take(3) {
        let _ = writeln!(report, "    {length:>4}  {place}");
    }
}

fn write_documentation(report: &mut String, files: &[SourceFile]) {
    let (mut documented, mut public) = (0, 0);
    for file in files {
        let lines: Vec<&str> = file.product_code().lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let item =
                ["pub fn ", "pub struct ", "pub enum ", "pub trait ", "pub const ", "pub type ", "pub async fn "];
            if item.iter().any(|start| line.trim_start().starts_with(start)) {
                public += 1;
                let above = lines[..index].iter().rev().find(|l| !l.trim_start().starts_with("#["));
                documented += usize::from(
                    above.is_some_and(|l| l.trim_start().starts_with("///") || l.trim_end().ends_with(")]")),
                );
            }
        }
    }
    let modules = files.iter().filter(|file| file.text.starts_with("//!")).count();
    let _ = writeln!(
        report,
        "documented items     {:>7.1}%   target 100%, {public} public items",
        percent(documented, public)
    );
    let _ = writeln!(report, "documented files     {:>7.1}%   target 100%", percent(modules, files.len()));
}

fn write_unwraps(report: &mut String, files: &[SourceFile]) {
    let count = |text: &str| files.iter().map(|file| file.product_code().matches(text).count()).sum::<usize>();
    let lines: usize = files.iter().map(|file| file.product_code().lines().count()).sum();
    let _ = writeln!(report, "unwrap()             {:>8}   target 0 outside tests", count(".unwrap()"));
    let _ = writeln!(report, "expect(reason)       {:>8}   in {lines} lines", count(".expect("));
}

fn quantile(sorted: &[usize], percent: usize) -> usize {
    sorted.get((sorted.len().saturating_sub(1)) * percent / 100).copied().unwrap_or(0)
}

#[expect(clippy::cast_precision_loss, reason = "counts of lines are far below 2^53")]
fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}
