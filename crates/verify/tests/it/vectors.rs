//! The published test vectors stay what they are: both checkers accept them, and each step gives the stated value.
//!
//! `MONETA_WRITE_VECTORS=1` makes them anew, which only a new version of a layout is a reason for.

use std::path::PathBuf;

use moneta_event::{RecordProof, RootEntry};
use moneta_merkle::proof::verify_inclusion;
use moneta_merkle::{Hash, SignedCheckpoint, VerifierKey, leaf_hash};
use moneta_testkit::corpus::workspace_root;
use serde_json::{Value, json};

use crate::agreement::{Python, thousand_proofs};

fn path(name: &str) -> PathBuf {
    workspace_root().join("docs/formats/vectors").join(name)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a checker computes on the way from the record to the root.
fn steps(proof: &RecordProof, key: &str) -> Value {
    let (header, tick) = (proof.header.encode(), &proof.block.tick);
    let keys = [VerifierKey::parse(key).unwrap()];
    let checkpoint = SignedCheckpoint::open(proof.block.root.checkpoint.as_bytes(), keys[0].name(), &keys).unwrap();
    let growth = RootEntry::decode(tick).unwrap().tick_of(&proof.header.shard).unwrap().clone();
    json!({
        "key": key,
        "record": hex(&proof.record),
        "record_leaf": leaf_hash(&proof.record).to_hex(),
        "record_index": proof.index,
        "num_rows": proof.header.num_rows,
        "record_root": proof.header.record_root.to_hex(),
        "header": hex(&header),
        "header_leaf": leaf_hash(&header).to_hex(),
        "shard": proof.header.shard.to_string(),
        "shard_index": proof.header.shard_index,
        "shard_size": growth.size,
        "shard_root": growth.root.to_hex(),
        "tick": hex(tick),
        "tick_leaf": leaf_hash(tick).to_hex(),
        "tick_index": proof.block.root.index,
        "root_size": checkpoint.size(),
        "root": checkpoint.root().to_hex(),
        "seq": proof.header.first_seq + proof.index,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn published_vectors_hold() {
    if std::env::var_os("MONETA_WRITE_VECTORS").is_some() {
        let (proofs, key) = thousand_proofs().await;
        let proof = RecordProof::parse(&proofs[700]).unwrap();
        std::fs::write(path("record-proof.txt"), &proofs[700]).unwrap();
        std::fs::write(path("checkpoint.txt"), &proof.block.root.checkpoint).unwrap();
        std::fs::write(path("vectors.json"), format!("{:#}\n", steps(&proof, &key))).unwrap();
    }
    let text = std::fs::read_to_string(path("record-proof.txt")).unwrap();
    let stated: Value = serde_json::from_str(&std::fs::read_to_string(path("vectors.json")).unwrap()).unwrap();
    let key = stated["key"].as_str().unwrap();
    let proof = RecordProof::parse(&text).unwrap();
    assert_eq!(steps(&proof, key), stated);
    let hash = |name: &str| Hash::from_hex(stated[name].as_str().unwrap()).unwrap();
    let number = |name: &str| stated[name].as_u64().unwrap();
    for (leaf, index, size, hashes, root) in [
        ("record_leaf", "record_index", "num_rows", &proof.path, "record_root"),
        ("header_leaf", "shard_index", "shard_size", &proof.block.hashes, "shard_root"),
        ("tick_leaf", "tick_index", "root_size", &proof.block.root.hashes, "root"),
    ] {
        verify_inclusion(&hash(leaf), number(index), number(size), hashes, &hash(root)).unwrap();
    }
    let checkpoint = std::fs::read_to_string(path("checkpoint.txt")).unwrap();
    assert_eq!(checkpoint, proof.block.root.checkpoint);
    let Some(python) = Python::find() else { return };
    for (what, name) in [("proof", "record-proof.txt"), ("checkpoint", "checkpoint.txt")] {
        assert_eq!(python.verdicts(what, key, &[path(name)])[&path(name)], Ok(()));
    }
}
