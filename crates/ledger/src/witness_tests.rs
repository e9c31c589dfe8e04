//! T15: whatever a log that holds its own key offers, a witness cosigns one history only.

use std::path::Path;
use std::sync::Arc;

use moneta_base::Timestamp;
use moneta_event::{RootEntry, RootEvent};
use moneta_keys::{KeyRing, LogSigner};
use moneta_merkle::proof::prove_consistency;
use moneta_merkle::reader::TileReader;
use moneta_merkle::tile::TILE_WIDTH;
use moneta_merkle::{
    AddCheckpoint, BoxError, Checkpoint, Hash, SignedNote, TilePath, TileShelf, VerifierKey, WitnessKey, leaf_hash,
    root_of, sha256,
};
use moneta_testkit::{Fault, Random, SeededEntropy, SimFs};

use crate::{Cosigner, Ledger, Witness, WitnessAlarm, WitnessAnswer, WitnessLink, WitnessReply};

const ORIGIN: &str = "log.example/test";

fn signer(name: &str, seed: u64) -> Arc<LogSigner> {
    let keys = KeyRing::open_named(Arc::new(SimFs::new()), Path::new("/keys"), &SeededEntropy::new(seed), name);
    keys.unwrap().log_signer()
}

fn witness(fs: &SimFs, log: &LogSigner) -> crate::Result<Witness> {
    let own = signer("witness.example/w", 77);
    Witness::open(Arc::new(fs.clone()), Path::new("/witness"), own, vec![VerifierKey::of(log).unwrap()])
}

/// A tree in memory.
#[derive(Clone)]
struct Tree(Vec<Hash>);

impl TileReader for Tree {
    fn read_tile(&self, tile: TilePath) -> Result<Vec<u8>, BoxError> {
        let TileShelf::Hashes(level) = tile.shelf else { return Err("no entries here".into()) };
        let span = usize::from(TILE_WIDTH).pow(u32::from(level));
        let from = usize::try_from(tile.index)? * usize::from(TILE_WIDTH);
        let hashes = (from..from + usize::from(tile.width)).map(|at| root_of(&self.0[at * span..(at + 1) * span]));
        Ok(hashes.flat_map(|hash| hash.as_bytes().to_vec()).collect())
    }
}

impl Tree {
    fn grow(&mut self, salt: &str, count: usize) {
        let size = self.0.len();
        self.0.extend((size..size + count).map(|index| leaf_hash(format!("{salt} {index}").as_bytes())));
    }

    fn request(&self, old: usize, size: usize, log: &LogSigner) -> AddCheckpoint {
        let checkpoint = Checkpoint::new(ORIGIN, size as u64, root_of(&self.0[..size])).unwrap().sign(log).unwrap();
        let part = Tree(self.0[..size].to_vec());
        let proof = prove_consistency(old.min(size) as u64, size as u64, &part).unwrap();
        AddCheckpoint { old_size: old as u64, proof, checkpoint: checkpoint.encode() }
    }
}

fn offer(witness: &Witness, request: &AddCheckpoint) -> WitnessAnswer {
    witness.add_checkpoint(request.encode().as_bytes(), 1_000).unwrap()
}

/// Something that a log with its own key could try: a smaller tree, another tree of any size, with proofs of its own,
/// of the true tree, or made up.
fn attack(random: &mut Random, truth: &Tree, known: usize, log: &LogSigner, salt: usize) -> AddCheckpoint {
    let shared = random.below(known);
    let mut fork = Tree(truth.0[..shared].to_vec());
    fork.grow(&format!("fork {salt}"), known - shared + random.below(40));
    let old = [known, shared, random.below(known + 1), 0][random.below(4)];
    let mut request = match random.below(5) {
        0 => truth.request(old.min(shared), shared, log),
        1 => AddCheckpoint { old_size: known as u64, ..truth.request(shared, shared.max(1), log) },
        2 => fork.request(old, known, log),
        _ => fork.request(old, fork.0.len(), log),
    };
    match random.below(6) {
        0 => request.old_size = known as u64,
        1 => request.proof = prove_consistency(shared as u64, known as u64, &Tree(truth.0[..known].to_vec())).unwrap(),
        2 => request.proof.push(sha256(&salt.to_le_bytes())),
        3 if !request.proof.is_empty() => drop(request.proof.pop()),
        _ => {}
    }
    request
}

#[test]
fn t15_of_ten_thousand_forks_and_rollbacks_none_is_cosigned() {
    let attacks: usize = std::env::var("MONETA_FORKS").ok().map_or(10_000, |count| count.parse().unwrap());
    let (fs, log) = (SimFs::new(), signer(ORIGIN, 1));
    let mut random = Random::new(15);
    let mut witness_now = witness(&fs, &log).unwrap();
    let (mut truth, mut known, mut refused) = (Tree(Vec::new()), 0, [0usize; 3]);
    for salt in 0..attacks {
        if salt % 200 == 0 {
            truth.grow("true", 1 + random.below(8));
            let answer = offer(&witness_now, &truth.request(known, truth.0.len(), &log));
            assert!(matches!(answer, WitnessAnswer::Cosigned(_)), "{answer:?}");
            known = truth.0.len();
        }
        if salt % 997 == 0 {
            witness_now = witness(&fs, &log).unwrap();
        }
        let request = attack(&mut random, &truth, known, &log, salt);
        match offer(&witness_now, &request) {
            WitnessAnswer::Malformed(_) => refused[0] += 1,
            WitnessAnswer::Conflict { size } => {
                assert_eq!(size, known as u64);
                refused[1] += 1;
            }
            WitnessAnswer::Inconsistent => refused[2] += 1,
            answer => panic!("attack {salt}: {answer:?} to {request:?}"),
        }
    }
    let answer = offer(&witness_now, &truth.request(known, known, &log));
    assert!(matches!(answer, WitnessAnswer::Cosigned(_)), "the same head again is no attack: {answer:?}");
    assert!(refused.iter().all(|count| *count > 0), "{refused:?}");
    println!("{attacks} forks and rollbacks offered: 0 cosigned (400, 409, 422: {refused:?})");
}

#[test]
fn strangers_and_foreign_logs_are_turned_away() {
    let (fs, log) = (SimFs::new(), signer(ORIGIN, 1));
    let witness_now = witness(&fs, &log).unwrap();
    let mut tree = Tree(Vec::new());
    tree.grow("x", 3);
    assert_eq!(offer(&witness_now, &tree.request(0, 3, &signer(ORIGIN, 2))), WitnessAnswer::NotSigned);
    let other = Checkpoint::new("log.example/other", 3, root_of(&tree.0)).unwrap().sign(&*log).unwrap();
    let request = AddCheckpoint { checkpoint: other.encode(), ..tree.request(0, 3, &log) };
    assert_eq!(offer(&witness_now, &request).status(), 404);
    assert_eq!(witness_now.add_checkpoint(b"old 0\n", 1).unwrap().status(), 400);
    let own = Witness::open(Arc::new(fs), Path::new("/w"), log.clone(), vec![VerifierKey::of(&*log).unwrap()]);
    assert!(matches!(own, Err(crate::Error::OwnLog(_))));
}

#[test]
fn no_crash_and_no_damage_makes_a_witness_forget() {
    let log = signer(ORIGIN, 1);
    let (mut truth, mut fork) = (Tree(Vec::new()), Tree(Vec::new()));
    truth.grow("true", 9);
    fork.0.clone_from(&truth.0[..5].to_vec());
    fork.grow("fork", 8);
    for call in 0.. {
        let fs = SimFs::new();
        let before = witness(&fs, &log).unwrap();
        assert!(matches!(offer(&before, &truth.request(0, 5, &log)), WitnessAnswer::Cosigned(_)));
        fs.fail_call(call, Fault::PowerCut);
        let cosigned = before.add_checkpoint(truth.request(5, 9, &log).encode().as_bytes(), 1).is_ok();
        let was_cut = fs.is_cut();
        fs.crash(call as u64);
        let after = witness(&fs, &log).unwrap();
        if cosigned {
            assert!(!matches!(offer(&after, &fork.request(5, 9, &log)), WitnessAnswer::Cosigned(_)), "call {call}");
            assert!(!matches!(offer(&after, &fork.request(9, 13, &log)), WitnessAnswer::Cosigned(_)), "call {call}");
        }
        assert!(!matches!(offer(&after, &fork.request(0, 13, &log)), WitnessAnswer::Cosigned(_)), "call {call}");
        if !was_cut {
            break;
        }
    }
    let fs = SimFs::new();
    assert!(matches!(offer(&witness(&fs, &log).unwrap(), &truth.request(0, 5, &log)), WitnessAnswer::Cosigned(_)));
    let state = fs.files().pop().unwrap();
    let good = fs.peek(&state).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs.overwrite(&state, &bad);
        assert!(matches!(witness(&fs, &log), Err(crate::Error::Corrupt { .. })), "byte {at}");
    }
}

/// A witness in the same process.
struct Near {
    key: WitnessKey,
    witness: Arc<Witness>,
    is_away: bool,
}

impl std::fmt::Debug for Near {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.key.fmt(f)
    }
}

impl WitnessLink for Near {
    fn key(&self) -> &WitnessKey {
        &self.key
    }

    fn offer(&self, body: &str) -> Result<WitnessReply, String> {
        if self.is_away {
            return Err("no route".to_owned());
        }
        let answer = self.witness.add_checkpoint(body.as_bytes(), 500).map_err(|error| error.to_string())?;
        Ok(WitnessReply { status: answer.status(), body: answer.body() })
    }
}

fn ledger(fs: &SimFs, log: &Arc<LogSigner>) -> Ledger {
    Ledger::open(Arc::new(fs.clone()), Path::new("/ledger"), log.clone(), ORIGIN).unwrap().0
}

fn publish(ledger: &Ledger, number: u8, count: u8) {
    for at in 0..count {
        let row = sha256(&[number, at]);
        let event = RootEvent::Audit { action: "query".into(), by: "7".into(), row };
        ledger.append_root(&RootEntry { at: Timestamp::from_seconds(1), event }).unwrap();
    }
    ledger.publish(Timestamp::from_seconds(1)).unwrap();
}

#[test]
fn two_of_three_witnesses_are_a_quorum_and_a_restored_backup_is_an_alarm() {
    let log = signer(ORIGIN, 1);
    let key = VerifierKey::of(&*log).unwrap();
    let near = |number: u64| {
        let own = signer(&format!("witness.example/{number}"), 100 + number);
        let witness =
            Witness::open(Arc::new(SimFs::new()), Path::new("/witness"), own.clone(), vec![key.clone()]).unwrap();
        Near { key: WitnessKey::of(&*own).unwrap(), witness: Arc::new(witness), is_away: number == 2 }
    };
    let links = |numbers: std::ops::Range<u64>| -> Vec<Box<dyn WitnessLink>> {
        numbers.map(|number| Box::new(near(number)) as Box<dyn WitnessLink>).collect()
    };
    // Each set of links has witnesses of its own.
    let (mut two, mut three) = (Cosigner::new(links(0..3), 2).unwrap(), Cosigner::new(links(0..3), 3).unwrap());
    let fs = SimFs::new();
    let ours = ledger(&fs, &log);
    for round in 0..3 {
        publish(&ours, round, 5);
        let asked = three.ask(&ours).unwrap();
        assert_eq!((asked.quorum_at, ours.cosigned().is_some()), (None, round > 0));
        let asked = two.ask(&ours).unwrap();
        assert_eq!((asked.size, asked.quorum_at), (ours.root_checkpoint().size(), Some(500)));
        assert_eq!(asked.alarms, [("witness.example/2".to_owned(), WitnessAlarm::Away("no route".to_owned()))]);
        let served = SignedNote::parse(ours.served_checkpoint().encode().as_bytes()).unwrap();
        assert_eq!(two.quorum().reached_at(&served).unwrap(), Some(500));
    }
    // The same key on a directory that was put back to an earlier day, and then grew another way.
    let restored = ledger(&SimFs::new(), &log);
    publish(&restored, 0, 5);
    let mut alarms = |ledger: &Ledger| {
        let alarms = two.ask(ledger).unwrap().alarms;
        alarms.into_iter().filter(|(name, _)| name == "witness.example/0").collect::<Vec<_>>()
    };
    let alarm = |alarm| vec![("witness.example/0".to_owned(), alarm)];
    assert_eq!(alarms(&ours), []);
    assert_eq!(alarms(&restored), alarm(WitnessAlarm::RolledBack { seen: 15 }));
    publish(&restored, 9, 10);
    assert_eq!(alarms(&restored), alarm(WitnessAlarm::SplitView));
    publish(&restored, 9, 10);
    assert_eq!(alarms(&restored), alarm(WitnessAlarm::SplitView));
    assert_eq!(alarms(&ours), []);
}

#[test]
fn what_a_quorum_cosigned_outlives_a_restart_and_convicts_a_rolled_back_log() {
    let log = signer(ORIGIN, 1);
    let own = signer("witness.example/0", 100);
    let keys = vec![VerifierKey::of(&*log).unwrap()];
    let witness = Witness::open(Arc::new(SimFs::new()), Path::new("/witness"), own.clone(), keys).unwrap();
    let near = Near { key: WitnessKey::of(&*own).unwrap(), witness: Arc::new(witness), is_away: false };
    let mut cosigner = Cosigner::new(vec![Box::new(near)], 1).unwrap();
    let fs = SimFs::new();
    let ours = ledger(&fs, &log);
    publish(&ours, 0, 5);
    let early: Vec<_> = fs.files().into_iter().map(|path| (path.clone(), fs.peek(&path).unwrap())).collect();
    publish(&ours, 1, 5);
    cosigner.ask(&ours).unwrap();
    let cosigned = ours.cosigned().unwrap();
    publish(&ours, 2, 5);
    assert_eq!(ours.served_checkpoint(), ours.root_checkpoint(), "the newest has no cosignatures yet");
    drop(ours);
    assert_eq!(ledger(&fs, &log).cosigned(), Some(cosigned));
    let open = |fs: &SimFs| Ledger::open(Arc::new(fs.clone()), Path::new("/ledger"), log.clone(), ORIGIN).map(drop);
    // All but the cosigned checkpoint is put back to an earlier day.
    for path in fs.files().iter().filter(|path| !path.ends_with("root/cosigned")) {
        moneta_base::fs::FileSystem::remove_file(&fs, path).unwrap();
    }
    for (path, bytes) in early {
        moneta_base::fs::write_atomically(&fs, &path, &bytes).unwrap();
    }
    let error = open(&fs).unwrap_err().to_string();
    assert!(error.contains("witnesses know 10 root entries, the root log has 5"), "{error}");
    // It grows another way, without the file beside it.
    let cosigned = fs.files().into_iter().find(|path| path.ends_with("root/cosigned")).unwrap();
    let bytes = fs.peek(&cosigned).unwrap();
    moneta_base::fs::FileSystem::remove_file(&fs, &cosigned).unwrap();
    publish(&ledger(&fs, &log), 9, 20);
    moneta_base::fs::write_atomically(&fs, &cosigned, &bytes).unwrap();
    assert!(open(&fs).unwrap_err().to_string().contains("does not continue the tree"));
}
