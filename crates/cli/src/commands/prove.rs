//! `moneta prove`: exports the proof that a row is under the signed checkpoint.

use std::path::PathBuf;

use clap::Args;
use moneta_base::{Seq, TableName};
use moneta_ports::operations::ProofAnswer;
use serde_json::json;

use crate::arguments::Global;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::target::{Missing, Target, local_context};

/// Export the proof of a row, for `moneta-verify proof`.
#[derive(Debug, Args)]
pub struct Prove {
    /// The table.
    #[arg(value_name = "TABLE")]
    table: String,
    /// The row's `_Seq`.
    #[arg(value_name = "SEQ")]
    seq: Seq,
    /// Where to write the proof; standard output when absent.
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Prove {
    /// Exports the proof.
    ///
    /// # Errors
    /// When the row is not stored or not as it was signed, or the proof cannot be written.
    pub async fn run(&self, global: &Global, console: &Console) -> Result<Exit, Failure> {
        let table = TableName::new(&self.table).map_err(|error| Failure::usage(error.to_string()))?;
        let target = Target::open(global, Missing::Refuse).await?;
        let proof = ask(&target, table, self.seq).await;
        let closed = target.close().await;
        let proof = proof?;
        closed?;
        self.write(&proof, console)?;
        Ok(Exit::Success)
    }

    fn write(&self, proof: &str, console: &Console) -> Result<(), Failure> {
        if let Some(path) = &self.out {
            let written = std::fs::write(path, proof);
            written.map_err(|error| Failure::io(format!("cannot write {}", path.display()), error))?;
            console.say(&format!("check it with `moneta-verify proof {} --key ledger.vkey`", path.display()));
        } else if console.json {
            console.value(&json!({ "table": self.table, "seq": self.seq, "proof": proof }))?;
        } else {
            // The line that is printed ends with the line feed that the proof ends with.
            console.line(proof.strip_suffix('\n').unwrap_or(proof))?;
        }
        Ok(())
    }
}

async fn ask(target: &Target, table: TableName, seq: Seq) -> Result<String, Failure> {
    match target {
        Target::Server(client) => {
            let bytes = client.get_bytes(&format!("v1/tables/{table}/rows/{seq}/proof")).await?;
            String::from_utf8(bytes)
                .map_err(|error| Failure::new(Exit::Internal, "the server's answer is not a proof").caused_by(&error))
        }
        Target::Directory(node) => match node.operations().prove_record(&local_context(), table, seq).await? {
            ProofAnswer::Proof(text) => Ok(text),
            ProofAnswer::NotStored(reason) => Err(Failure::usage(reason)),
        },
    }
}
