//! Rule packs: what is opened, and what is refused with which words.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use moneta_keys::{LogSigner, open_pack_key};
use moneta_merkle::VerifierKey;
use moneta_rules::limits;
use moneta_rules::pack::{PackDetails, PackError, open, pack};
use moneta_testkit::{SeededEntropy, SimFs};
use serde_json::{Value, json};

fn details() -> PackDetails {
    PackDetails { name: "acme-windows".to_owned(), version: 3, author: "Acme Security".to_owned() }
}

fn files() -> BTreeMap<String, String> {
    BTreeMap::from([
        ("windows/one.yml".to_owned(), "title: One\n".to_owned()),
        ("two words.yml".to_owned(), "title: Two\n".to_owned()),
    ])
}

fn key(seed: u64) -> (Arc<LogSigner>, VerifierKey) {
    open_pack_key(&SimFs::new(), Path::new("/keys"), &SeededEntropy::new(seed), "acme.example/rules").unwrap()
}

fn keys(seeds: &[u64]) -> Vec<VerifierKey> {
    seeds.iter().map(|seed| key(*seed).1).collect()
}

fn made() -> Value {
    serde_json::from_str(&pack(&details(), files(), &*key(1).0).unwrap()).unwrap()
}

fn refusal(document: &Value, seeds: &[u64]) -> String {
    open(document.to_string().as_bytes(), &keys(seeds)).unwrap_err().to_string()
}

#[test]
fn what_a_trusted_key_signed_comes_out_as_it_went_in() {
    let opened = open(made().to_string().as_bytes(), &keys(&[2, 1])).unwrap();
    assert_eq!((opened.details, opened.signer.as_str()), (details(), "acme.example/rules"));
    assert_eq!(opened.files.into_iter().collect::<BTreeMap<_, _>>(), files());
    // What the note says, a reader of notes can check without this program.
    let manifest = made()["manifest"].as_str().unwrap().to_owned();
    let head = "moneta rule pack 1\nname acme-windows\nversion 3\nauthor Acme Security\nfile ";
    assert!(manifest.starts_with(head) && manifest.contains(" windows/one.yml\n\n\u{2014} acme.example/rules "));
}

#[test]
fn every_change_after_signing_is_refused_and_named() {
    let mut changed = made();
    changed["files"]["windows/one.yml"] = json!("title: Other\n");
    assert!(refusal(&changed, &[1]).contains("the content of \"windows/one.yml\" is another"));
    let mut added = made();
    added["files"]["more.yml"] = json!("title: More\n");
    assert!(refusal(&added, &[1]).contains("\"more.yml\" was added"));
    let mut missing = made();
    missing["files"].as_object_mut().unwrap().remove("two words.yml");
    assert!(refusal(&missing, &[1]).contains("\"two words.yml\" is missing"));
    let mut manifest = made();
    let text = manifest["manifest"].as_str().unwrap().replace("version 3", "version 4");
    manifest["manifest"] = json!(text);
    assert!(refusal(&manifest, &[1]).contains("was changed after acme.example/rules signed it"));
}

#[test]
fn unsigned_packs_and_those_of_strangers_are_refused() {
    // A key of the same name is another key.
    assert!(
        refusal(&made(), &[2]).contains("signed by acme.example/rules, whose key is not among rules.trusted_signers")
    );
    assert!(refusal(&made(), &[]).contains("rules.trusted_signers"));
    let mut unsigned = made();
    let text = unsigned["manifest"].as_str().unwrap().split("\n\n").next().unwrap().to_owned();
    unsigned["manifest"] = json!(format!("{text}\n"));
    assert!(refusal(&unsigned, &[1]).contains("is not signed"));
    let rule = open(b"title: A rule\n", &keys(&[1])).unwrap_err();
    assert!(matches!(rule, PackError::Form(_)), "{rule}");
}

#[test]
fn what_cannot_be_said_in_a_manifest_is_no_pack() {
    let with = |change: &dyn Fn(&mut PackDetails)| {
        let mut details = details();
        change(&mut details);
        pack(&details, files(), &*key(1).0).unwrap_err().to_string()
    };
    assert!(with(&|d| d.name = "two words".to_owned()).contains("no name of a pack"));
    assert!(with(&|d| d.version = 0).contains("begin at 1"));
    assert!(with(&|d| d.author = "A\nfile 0 x".to_owned()).contains("one line"));
    assert!(pack(&details(), BTreeMap::new(), &*key(1).0).unwrap_err().to_string().contains("no rule file"));
    for path in ["/etc/passwd", "a//b.yml", "../up.yml", "a/./b.yml", "a\nb.yml", ""] {
        let one = BTreeMap::from([(path.to_owned(), "x".to_owned())]);
        assert!(pack(&details(), one, &*key(1).0).unwrap_err().to_string().contains("no relative path"), "{path:?}");
    }
    let large = BTreeMap::from([("a.yml".to_owned(), "a".repeat(limits::RULE_FILE_BYTES_MAX + 1))]);
    assert!(pack(&details(), large, &*key(1).0).unwrap_err().to_string().contains("RULE_FILE_BYTES_MAX"));
    let many = (0..=limits::PACK_FILES_MAX).map(|n| (format!("{n}.yml"), String::new())).collect();
    assert!(pack(&details(), many, &*key(1).0).unwrap_err().to_string().contains("PACK_FILES_MAX"));
}
