//! Rust source files as text: which there are, and the crude but sufficient shape of their functions.
//!
//! Works on lines and indentation as `rustfmt` leaves them; it does not parse Rust.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// One source file.
#[derive(Debug)]
pub struct SourceFile {
    /// Path relative to the workspace root.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// One function outside tests.
#[derive(Debug)]
pub struct Function {
    /// The line that declares it, trimmed.
    pub head: String,
    /// First line, from 1.
    pub line: usize,
    /// Lines from declaration to closing brace.
    pub length: usize,
}

impl SourceFile {
    /// Whether the whole file is test or example code.
    #[must_use]
    pub fn is_test(&self) -> bool {
        let parts = ["tests", "benches", "examples", "testdata"];
        let in_test_folder = self.path.components().any(|part| parts.iter().any(|p| part.as_os_str() == *p));
        in_test_folder || self.path.file_name().is_some_and(|name| name == "tests.rs")
    }

    /// The text up to the test module at its end.
    #[must_use]
    pub fn product_code(&self) -> &str {
        let end = self.text.find("#[cfg(test)]\nmod ").unwrap_or(self.text.len());
        &self.text[..end]
    }

    /// The functions of the product code.
    #[must_use]
    pub fn functions(&self) -> Vec<Function> {
        let lines: Vec<&str> = self.product_code().lines().collect();
        let mut functions = Vec::new();
        for (start, line) in lines.iter().enumerate() {
            if !declares_function(line) {
                continue;
            }
            let indent = indent_of(line);
            let ends = |candidate: &&str| indent_of(candidate) == indent && candidate.trim_start().starts_with('}');
            let body_end = if line.trim_end().ends_with('}') {
                Some(0)
            } else {
                lines[start + 1..].iter().position(ends).map(|n| n + 1)
            };
            if let Some(length) = body_end {
                functions.push(Function { head: line.trim().to_owned(), line: start + 1, length: length + 1 });
            }
        }
        functions
    }
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn declares_function(line: &str) -> bool {
    let mut words = line
        .split_whitespace()
        .skip_while(|word| matches!(*word, "pub" | "const" | "async" | "unsafe") || word.starts_with("pub("));
    words.next() == Some("fn") && !line.trim_end().ends_with(';')
}

/// All Rust files below `root/crates` and `root/xtask`, in path order.
///
/// # Errors
/// When a directory or file cannot be read.
pub fn read_all(root: &Path) -> Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    for top in ["crates", "xtask"] {
        collect(root, &root.join(top), &mut files)?;
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn collect(root: &Path, dir: &Path, files: &mut Vec<SourceFile>) -> Result<()> {
    for entry in std::fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target" && name != "node_modules") {
            collect(root, &path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            files.push(SourceFile { path: path.strip_prefix(root)?.to_owned(), text });
        }
    }
    Ok(())
}
