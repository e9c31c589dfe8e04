//! Whatever bytes arrive, the readers answer and never panic; what they accept they write again as the same bytes.

use moneta_merkle::proof::{verify_consistency, verify_inclusion};
use moneta_merkle::{Checkpoint, Hash, SignedNote, TilePath, TlogProof, VerifierKey, bundle};
use proptest::prelude::*;

/// Text that looks like the signed forms more often than chance would have it.
fn near_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\n".to_owned()),
        Just("\n\n".to_owned()),
        Just("\u{2014} ".to_owned()),
        Just("c2sp.org/tlog-proof@v1\n".to_owned()),
        Just("index 7\n".to_owned()),
        Just("extra AAAA\n".to_owned()),
        Just("log.example 10\n".to_owned()),
        Just("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n".to_owned()),
        Just("tile/".to_owned()),
        Just("x001/".to_owned()),
        Just("000.p/".to_owned()),
        "[0-9]{1,20}",
        "[a-z+ ]{0,8}",
        any::<String>(),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn text_readers_answer_any_text(text in near_text()) {
        if let Ok(note) = SignedNote::parse(text.as_bytes()) {
            prop_assert_eq!(note.encode(), &text[..]);
        }
        if let Ok(proof) = TlogProof::parse(&text) {
            prop_assert_eq!(proof.encode(), &text[..]);
        }
        if let Ok(tile) = text.parse::<TilePath>() {
            prop_assert_eq!(tile.to_string(), &text[..]);
        }
        if let Ok(key) = VerifierKey::parse(&text) {
            prop_assert_eq!(key.to_string().to_lowercase(), text.to_lowercase());
        }
        if let Ok(checkpoint) = Checkpoint::from_text(&text) && checkpoint.extensions.is_empty() {
            prop_assert_eq!(checkpoint.to_text().unwrap(), &text[..]);
        }
    }

    #[test]
    fn byte_readers_answer_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..600), width in 0u16..=256) {
        if let Ok(entries) = bundle::entries(&bytes, width) {
            let mut again = Vec::new();
            for entry in entries {
                bundle::push_entry(&mut again, entry).unwrap();
            }
            prop_assert_eq!(again, bytes.clone());
        }
        let _ = SignedNote::parse(&bytes);
        let _ = bundle::prefix(&bytes, width);
    }

    #[test]
    fn proof_checkers_answer_any_sizes(index in any::<u64>(), old in any::<u64>(), new in any::<u64>(), count in 0usize..70) {
        let proof = vec![Hash::default(); count];
        let root = Hash::default();
        let _ = verify_inclusion(&root, index, new, &proof, &root);
        let _ = verify_consistency(old, new, &proof, &root, &root);
    }

    #[test]
    fn tile_paths_read_back(level in 0u8..64, index in any::<u64>(), width in 1u16..=256) {
        for tile in [TilePath::hashes(level, index, width), TilePath::entries(index, width)] {
            prop_assert_eq!(tile.to_string().parse::<TilePath>().unwrap(), tile);
        }
    }
}
