//! `moneta prove`: exports the proof that a row, an alert with its events, or what a receipt promises, is under the signed
//! checkpoint.

use std::path::{Path, PathBuf};

use clap::Args;
use moneta_base::{Seq, TableName};
use moneta_event::AlertEvidence;
use moneta_ports::ReceiptAnswer;
use moneta_ports::operations::ProofAnswer;
use serde_json::{Value, json};

use crate::arguments::Global;
use crate::client::Client;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::output::visible;
use crate::target::{Missing, Target, local_context};

/// Export the proof of a row, for `moneta-verify proof`; of an alert with its events, for `moneta-verify alert`; or of a
/// receipt, for `moneta-verify receipt --proof`.
#[derive(Debug, Args)]
pub struct Prove {
    /// The table.
    #[arg(value_name = "TABLE", required_unless_present_any = ["receipt", "alert"])]
    table: Option<String>,
    /// The row's `_Seq`.
    #[arg(value_name = "SEQ", required_unless_present_any = ["receipt", "alert"])]
    seq: Option<Seq>,
    /// A receipt that the log signed: prove what it promises.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["table", "seq"])]
    receipt: Option<PathBuf>,
    /// An alert, by its `SystemAlertId`: prove its row and every event that it names.
    #[arg(long, value_name = "ID", conflicts_with_all = ["table", "seq", "receipt"])]
    alert: Option<String>,
    /// Where to write the proof; standard output when absent.
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Prove {
    /// Exports the proof.
    ///
    /// # Errors
    /// When the row or alert is not stored or not as it was signed, the receipt is none of this log, or the proof cannot
    /// be written. That the log does not have what it signed for is no failure: see [`Exit::Evidence`].
    pub async fn run(&self, global: &Global, console: &Console) -> Result<Exit, Failure> {
        match (&self.receipt, &self.alert, &self.table, self.seq) {
            (Some(file), ..) => self.redeem(file, global, console).await,
            (None, Some(id), ..) => self.prove_alert(id, global, console).await,
            (None, None, Some(table), Some(seq)) => self.prove_row(table, seq, global, console).await,
            _ => Err(Failure::usage("name a row by TABLE and SEQ, an --alert, or a --receipt")),
        }
    }

    async fn prove_row(&self, table: &str, seq: Seq, global: &Global, console: &Console) -> Result<Exit, Failure> {
        let table = TableName::new(table).map_err(|error| Failure::usage(error.to_string()))?;
        let target = Target::open(global, Missing::Refuse).await?;
        let proof = ask(&target, table, seq).await;
        let closed = target.close().await;
        let proof = proof?;
        closed?;
        let check = |path: &Path| format!("moneta-verify proof {} --key ledger.vkey", path.display());
        self.write(&proof, &json!({ "table": self.table, "seq": seq, "proof": proof }), &check, console)?;
        Ok(Exit::Success)
    }

    /// Negative when events are not stored any more: what is written proves the others.
    async fn prove_alert(&self, id: &str, global: &Global, console: &Console) -> Result<Exit, Failure> {
        let target = Target::open(global, Missing::Refuse).await?;
        let proof = ask_alert(&target, id).await;
        let closed = target.close().await;
        let proof = proof?;
        closed?;
        let absent = AlertEvidence::parse(&proof).and_then(|evidence| evidence.absent());
        let absent = absent
            .map_err(|error| Failure::new(Exit::Internal, "the answer is not an alert's evidence").caused_by(&error))?;
        let check = |path: &Path| format!("moneta-verify alert {} --key ledger.vkey", path.display());
        self.write(&proof, &json!({ "alert": id, "absent": absent, "proof": proof }), &check, console)?;
        for (table, seq) in &absent {
            console
                .complain(&format!("row {seq} of {}, which the alert names, is not stored any more", visible(table)));
        }
        Ok(Exit::negative_unless(absent.is_empty()))
    }

    async fn redeem(&self, file: &Path, global: &Global, console: &Console) -> Result<Exit, Failure> {
        let receipt = std::fs::read_to_string(file);
        let receipt = receipt.map_err(|error| Failure::io(format!("cannot read {}", file.display()), error))?;
        let target = Target::open(global, Missing::Refuse).await?;
        let answer = redeem(&target, receipt).await;
        let closed = target.close().await;
        let answer = answer?;
        closed?;
        let check = |path: &Path| {
            format!("moneta-verify receipt {} --proof {} --key ledger.vkey", file.display(), path.display())
        };
        let (promise, proof) = match &answer {
            ReceiptAnswer::Kept(proof) => ("kept", Some(proof)),
            ReceiptAnswer::Dropped(_) => ("dropped", None),
            ReceiptAnswer::Broken { proof, .. } => ("broken", proof.as_ref()),
        };
        let reason = match &answer {
            ReceiptAnswer::Kept(_) => "",
            ReceiptAnswer::Dropped(reason) | ReceiptAnswer::Broken { reason, .. } => reason,
        };
        let value = json!({ "promise": promise, "reason": reason, "proof": proof });
        match proof {
            Some(proof) => self.write(proof, &value, &check, console)?,
            None if console.json => console.value(&value)?,
            None => {}
        }
        Ok(match answer {
            ReceiptAnswer::Kept(_) => Exit::Success,
            ReceiptAnswer::Dropped(reason) => {
                console.say(&format!("nothing to prove: {reason}"));
                Exit::Negative
            }
            ReceiptAnswer::Broken { reason, .. } => {
                console.say(&format!(
                    "SIGNED AND NOT THERE: {reason}. Keep the receipt and a copy of the directory: `moneta-verify receipt \
                     {} --store COPY --key ledger.vkey` says the same without the server",
                    file.display()
                ));
                Exit::Evidence
            }
        })
    }

    fn write(
        &self,
        proof: &str,
        value: &Value,
        check: &dyn Fn(&Path) -> String,
        console: &Console,
    ) -> Result<(), Failure> {
        if let Some(path) = &self.out {
            let written = std::fs::write(path, proof);
            written.map_err(|error| Failure::io(format!("cannot write {}", path.display()), error))?;
            console.say(&format!("check it with `{}`", check(path)));
        } else if console.json {
            console.value(value)?;
        } else {
            // The line that is printed ends with the line feed that the proof ends with.
            console.line(proof.strip_suffix('\n').unwrap_or(proof))?;
        }
        Ok(())
    }
}

async fn ask(target: &Target, table: TableName, seq: Seq) -> Result<String, Failure> {
    match target {
        Target::Server(client) => download(client, &format!("v1/tables/{table}/rows/{seq}/proof")).await,
        Target::Directory(node) => proof_of(node.operations().prove_record(&local_context(), table, seq).await?),
    }
}

async fn ask_alert(target: &Target, id: &str) -> Result<String, Failure> {
    match target {
        Target::Server(client) => download(client, &format!("v1/alerts/{id}/proof")).await,
        Target::Directory(node) => proof_of(node.operations().prove_alert(&local_context(), id.to_owned()).await?),
    }
}

async fn download(client: &Client, path: &str) -> Result<String, Failure> {
    String::from_utf8(client.get_bytes(path).await?)
        .map_err(|error| Failure::new(Exit::Internal, "the server's answer is not a proof").caused_by(&error))
}

fn proof_of(answer: ProofAnswer) -> Result<String, Failure> {
    match answer {
        ProofAnswer::Proof(text) => Ok(text),
        ProofAnswer::NotStored(reason) => Err(Failure::usage(reason)),
    }
}

async fn redeem(target: &Target, receipt: String) -> Result<ReceiptAnswer, Failure> {
    let client = match target {
        Target::Server(client) => client,
        Target::Directory(node) => return Ok(node.operations().prove_receipt(&local_context(), receipt).await?),
    };
    let answer = client.post_bytes("v1/receipts/proof", receipt.into_bytes()).await?;
    let text = |member: &str| answer[member].as_str().map(str::to_owned);
    let (reason, proof) = (text("reason").unwrap_or_default(), text("proof"));
    match (answer["promise"].as_str(), proof) {
        (Some("kept"), Some(proof)) => Ok(ReceiptAnswer::Kept(proof)),
        (Some("dropped"), None) => Ok(ReceiptAnswer::Dropped(reason)),
        (Some("broken"), proof) => Ok(ReceiptAnswer::Broken { reason, proof }),
        _ => Err(Failure::new(Exit::Internal, "the server's answer to a receipt is not understood")),
    }
}
