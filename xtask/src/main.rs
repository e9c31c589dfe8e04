//! Repository chores: `cargo xtask tidy` checks the house rules, `cargo xtask metrics` prints sizes beside their
//! targets. Neither changes a file.

use std::process::ExitCode;

use xtask::{metrics, tidy, workspace_root};

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("tidy") => run_tidy(),
        Some("metrics") => run_metrics(),
        _ => {
            eprintln!("usage: cargo xtask tidy|metrics");
            ExitCode::from(2)
        }
    }
}

fn run_tidy() -> ExitCode {
    match tidy::check(&workspace_root()) {
        Ok(findings) if findings.is_empty() => {
            println!("tidy: nothing to mend");
            ExitCode::SUCCESS
        }
        Ok(findings) => {
            findings.iter().for_each(|finding| println!("{finding}"));
            println!("tidy: {} findings", findings.len());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("tidy: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run_metrics() -> ExitCode {
    match metrics::measure(&workspace_root()) {
        Ok(report) => {
            print!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("metrics: {error:#}");
            ExitCode::from(2)
        }
    }
}
