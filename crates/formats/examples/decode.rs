//! temp
#![allow(clippy::print_stdout, clippy::unwrap_used)]
use std::sync::Arc;
fn main() {
    for f in std::env::args().skip(1) {
        let b = std::fs::read(&f).unwrap();
        let mut at = 4096;
        while at + 65536 <= b.len() {
            if let Ok(mut c) = evtx::EvtxChunkData::new(b[at..at + 65536].to_vec(), false) {
                if let Ok(mut c) = c.parse(Arc::new(evtx::ParserSettings::default().num_threads(1).indent(false))) {
                    for r in c.iter() {
                        match r.and_then(|r| r.into_json()) { Ok(r) => println!("{}", r.data), Err(e) => println!("ERR {f} {at} {e:?}") }
                    }
                }
            } else { println!("BAD CHUNK {f} {at}"); }
            at += 65536;
        }
    }
}
