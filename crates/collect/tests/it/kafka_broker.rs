//! A broker of one topic with one partition, as far as a reader asks for it: what no broker at hand can be made to do is
//! tried with it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use moneta_kafka::{NewRecord, write_batch};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

pub const TOPIC: &str = "door";

/// What a broker keeps, and how it behaves.
#[derive(Default)]
pub struct Log {
    /// Batches, each with its first offset and the one behind it.
    pub batches: Vec<(i64, i64, Vec<u8>)>,
    /// The first offset that is still there.
    pub first: i64,
    /// Who may sign in.
    pub password: Option<String>,
    /// The requests that came, by key.
    pub asked: Vec<i16>,
}

impl Log {
    pub fn end(&self) -> i64 {
        self.batches.last().map_or(self.first, |(_, end, _)| *end)
    }

    /// Appends a batch of records with a key.
    pub fn append(&mut self, values: &[String]) {
        let records: Vec<NewRecord<'_>> = values
            .iter()
            .map(|value| NewRecord { key: Some(b"k"), value: value.as_bytes(), headers: &[("h", "v")] })
            .collect();
        let base = self.end();
        let mut batch = write_batch(&records, 1_700_000_000_000);
        batch[..8].copy_from_slice(&base.to_be_bytes());
        self.batches.push((base, base + i64::try_from(values.len()).unwrap(), batch));
    }
}

#[derive(Clone)]
pub struct Broker {
    pub address: SocketAddr,
    pub log: Arc<Mutex<Log>>,
    task: Arc<JoinHandle<()>>,
}

impl Broker {
    /// Takes connections at an address, port 0 for a free one.
    pub async fn start(address: SocketAddr, log: Arc<Mutex<Log>>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = log.clone();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (log, tls) = (shared.clone(), tls.clone());
                connections.spawn(async move {
                    match tls {
                        None => serve(stream, address.port(), log).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, address.port(), log).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        Self { address, log, task: Arc::new(task) }
    }

    /// Takes no more connections and closes those there are.
    pub fn stop(&self) {
        self.task.abort();
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, port: u16, log: Arc<Mutex<Log>>) -> Option<()> {
    let mut signed_in = log.lock().unwrap().password.is_none();
    loop {
        let length = stream.read_u32().await.ok()?;
        let mut request = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut request).await.ok()?;
        let key = i16::from_be_bytes(request[..2].try_into().unwrap());
        let client = usize::from(u16::from_be_bytes(request[8..10].try_into().unwrap()));
        let body = &request[10 + client..];
        log.lock().unwrap().asked.push(key);
        // Nobody is told anything before they are known.
        if !signed_in && !matches!(key, 17 | 18 | 36) {
            return None;
        }
        let answer = match key {
            18 => versions(),
            17 => [&[0, 0][..], &int(1), &text("PLAIN")].concat(),
            36 => {
                signed_in = log
                    .lock()
                    .unwrap()
                    .password
                    .as_ref()
                    .is_some_and(|password| body[4..] == *format!("\0moneta\0{password}").as_bytes());
                [&short(if signed_in { 0 } else { 58 })[..], &short(-1), &int(0)].concat()
            }
            3 => metadata(port),
            2 => {
                let wants_first = i64::from_be_bytes(body[body.len() - 8..].try_into().unwrap()) == -2;
                let log = log.lock().unwrap();
                let offset = if wants_first { log.first } else { log.end() };
                partition(&[&short(0)[..], &long(-1), &long(offset)].concat())
            }
            1 => fetched(body, &log).await,
            _ => return None,
        };
        stream.write_all(&int(i32::try_from(answer.len() + 4).unwrap())).await.ok()?;
        stream.write_all(&request[4..8]).await.ok()?;
        stream.write_all(&answer).await.ok()?;
    }
}

fn versions() -> Vec<u8> {
    let known: [(i16, i16, i16); 6] = [(18, 0, 2), (17, 0, 1), (36, 0, 1), (3, 0, 8), (2, 0, 2), (1, 0, 4)];
    let mut answer = [&short(0)[..], &int(6)].concat();
    for (key, oldest, newest) in known {
        answer.extend([short(key), short(oldest), short(newest)].concat());
    }
    answer
}

fn metadata(port: u16) -> Vec<u8> {
    let mut answer = [&int(0)[..], &int(1), &int(1), &text("localhost"), &int(port.into()), &short(-1)].concat();
    answer.extend([&short(-1)[..], &int(1), &int(1), &short(0), &text(TOPIC), &[0], &int(1)].concat());
    answer.extend([&short(0)[..], &int(0), &int(1), &int(0), &int(0)].concat());
    answer
}

/// Fetch, version 4: the offset is the last but one number of the request.
async fn fetched(body: &[u8], log: &Arc<Mutex<Log>>) -> Vec<u8> {
    let offset = i64::from_be_bytes(body[body.len() - 12..body.len() - 4].try_into().unwrap());
    let answer = {
        let log = log.lock().unwrap();
        let code = if (log.first..=log.end()).contains(&offset) { 0 } else { 1 };
        let behind = log.batches.iter().filter(|(_, end, _)| *end > offset && code == 0);
        let batches: Vec<u8> = behind.flat_map(|(_, _, batch)| batch.clone()).collect();
        let length = int(i32::try_from(batches.len()).unwrap());
        let part = [&short(code)[..], &long(log.end()), &long(log.end()), &int(-1), &length, &batches].concat();
        ([&int(0)[..], &partition(&part)].concat(), batches.is_empty())
    };
    if answer.1 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    answer.0
}

/// The only partition of the only topic, before what is said of it.
fn partition(said: &[u8]) -> Vec<u8> {
    [&int(1)[..], &text(TOPIC), &int(1), &int(0), said].concat()
}

fn short(value: i16) -> [u8; 2] {
    value.to_be_bytes()
}

fn int(value: i32) -> [u8; 4] {
    value.to_be_bytes()
}

fn long(value: i64) -> [u8; 8] {
    value.to_be_bytes()
}

fn text(text: &str) -> Vec<u8> {
    [&short(i16::try_from(text.len()).unwrap())[..], text.as_bytes()].concat()
}
