//! Receipts that the log signed: what a sender brings back to see the promise kept.

use axum::Json;
use axum::extract::{Request, State};
use moneta_ports::ReceiptAnswer;
use serde::Serialize;

use crate::ApiError;
use crate::auth::SignedInCaller;
use crate::body::Pieces;
use crate::state::App;

/// Bytes of a receipt at most: as many as a signed note may have.
const RECEIPT_BYTES_MAX: usize = 1 << 20;

/// What the log says to a receipt.
#[derive(Debug, Serialize)]
pub(crate) struct Redeemed {
    /// `kept`, `dropped` or `broken`.
    promise: &'static str,
    /// Why it is not kept; empty when it is.
    reason: String,
    /// For `moneta-verify receipt --proof`.
    proof: Option<String>,
}

/// `POST /v1/receipts/proof` with the receipt as body. Whoever has a receipt may ask, with a credential of any scope: it
/// holds hashes, and so does the proof.
pub(crate) async fn prove(
    SignedInCaller(ctx): SignedInCaller,
    State(state): State<App>,
    request: Request,
) -> Result<Json<Redeemed>, ApiError> {
    let body = Pieces::of(request).collect(RECEIPT_BYTES_MAX).await?;
    let receipt = String::from_utf8(body).map_err(|_| ApiError::bad_request("a receipt is text"))?;
    let (promise, reason, proof) = match state.operations.prove_receipt(&ctx, receipt).await? {
        ReceiptAnswer::Kept(proof) => ("kept", String::new(), Some(proof)),
        ReceiptAnswer::Dropped(reason) => ("dropped", reason, None),
        ReceiptAnswer::Broken { reason, proof } => ("broken", reason, proof),
    };
    Ok(Json(Redeemed { promise, reason, proof }))
}
