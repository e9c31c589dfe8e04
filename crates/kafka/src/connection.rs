//! One connection to one broker: requests, one at a time, and their answers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::cluster::Transport;
use crate::messages::{
    self, API_VERSIONS, Api, FETCH, FETCH_OLD, FetchFrom, FetchLimits, Fetched, LIST_OFFSETS, METADATA, Metadata,
    PRODUCE, Place, SASL_AUTHENTICATE, SASL_HANDSHAKE,
};
use crate::scram::{self, Hash};
use crate::wire::{Reader, Writer};
use crate::{Error, NewRecord, write_batch};

/// Bytes of an answer at most: several times what is asked for, since one batch comes whole however long it is.
const ANSWER_BYTES_MAX: usize = 128 << 20;
/// Bytes of an answer that room is made for before they have come.
const READ_BYTES: usize = 1 << 20;
/// By what brokers know this client in their logs and quotas.
const CLIENT_ID: &str = "moneta";

/// How to prove who one is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mechanism {
    /// The password is sent as it is: behind TLS only, where it matters.
    #[default]
    Plain,
    /// Both sides prove that they know the password, which is not sent; with SHA-256.
    ScramSha256,
    /// As that, with SHA-512.
    ScramSha512,
}

impl Mechanism {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Plain, Self::ScramSha256, Self::ScramSha512];

    /// By what it is registered.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }

    fn hash(self) -> Option<Hash> {
        match self {
            Self::Plain => None,
            Self::ScramSha256 => Some(Hash::Sha256),
            Self::ScramSha512 => Some(Hash::Sha512),
        }
    }
}

/// How to sign in.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// How the password is proved.
    pub mechanism: Mechanism,
    /// The name; `$ConnectionString` for Azure Event Hubs.
    pub user: String,
    /// The password; the connection string for Azure Event Hubs.
    pub password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("mechanism", &self.mechanism).field("user", &self.user).finish_non_exhaustive()
    }
}

/// A connection that is signed in. A request that failed, or that was given up half-way, leaves it unusable.
pub struct Connection {
    transport: Box<dyn Transport>,
    /// What the next request is numbered.
    number: i32,
    /// What the broker knows: key, oldest, newest.
    versions: Vec<(i16, i16, i16)>,
}

impl Connection {
    /// Asks what the broker knows, and signs in.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn open(transport: Box<dyn Transport>, login: Option<&Login>) -> Result<Self, Error> {
        let mut connection = Self { transport, number: 0, versions: Vec::new() };
        let versions = connection.ask(API_VERSIONS, &[]).await?;
        connection.versions = messages::read_versions(&versions)?;
        if let Some(login) = login {
            connection.sign_in(login).await?;
        }
        Ok(connection)
    }

    async fn sign_in(&mut self, login: &Login) -> Result<(), Error> {
        let Login { mechanism, user, password } = login;
        let answer = self.ask_known(SASL_HANDSHAKE, &messages::write_mechanism(mechanism.name())).await?;
        messages::read_mechanism(&answer, mechanism.name())?;
        let Some(hash) = mechanism.hash() else {
            // PLAIN: nobody to act for, the name, the password (RFC 4616).
            return self.say(&format!("\0{user}\0{password}")).await.map(drop);
        };
        let client = scram::Client::new(hash, user, nonce());
        let server_first = self.say(&client.first()).await?;
        let (last, proved) = client.prove(password, &server_first)?;
        proved.check(&self.say(&last).await?)
    }

    /// Says one thing while signing in; what the broker says to it.
    async fn say(&mut self, words: &str) -> Result<Vec<u8>, Error> {
        let answer = self.ask_known(SASL_AUTHENTICATE, &messages::write_words(words)).await?;
        messages::read_words(&answer)
    }

    /// Who leads the partitions of topics.
    ///
    /// # Errors
    /// See [`Error`]; what is wrong with a topic stands in the answer.
    pub async fn metadata(&mut self, topics: &[String]) -> Result<Metadata, Error> {
        let answer = self.ask_known(METADATA, &messages::write_metadata(topics)).await?;
        messages::read_metadata(&answer)
    }

    /// An offset of a partition that the broker leads.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn offset(&mut self, topic: &str, partition: i32, place: Place) -> Result<i64, Error> {
        let request = messages::write_list_offsets(topic, partition, place);
        let answer = self.ask_known(LIST_OFFSETS, &request).await?;
        messages::read_list_offsets(&answer)
    }

    /// Records of partitions that the broker leads; those of one topic stand together.
    ///
    /// # Errors
    /// See [`Error`]; what is wrong with a partition stands in the answer.
    pub async fn fetch(&mut self, from: &[FetchFrom], limits: FetchLimits) -> Result<Vec<Fetched>, Error> {
        let api = if self.knows(FETCH) { FETCH } else { FETCH_OLD };
        let answer = self.ask_known(api, &messages::write_fetch(api, from, limits)).await?;
        messages::read_fetched(api, &answer)
    }

    /// Writes records to a partition that the broker leads; answers the first offset once every replica that is in step
    /// has them. They were made at `time_ms`, milliseconds since 1970.
    ///
    /// # Errors
    /// See [`Error`]. When the connection broke, nobody knows whether they were written.
    pub async fn produce(
        &mut self,
        topic: &str,
        partition: i32,
        records: &[NewRecord<'_>],
        time_ms: i64,
        wait_ms: i32,
    ) -> Result<i64, Error> {
        let request = messages::write_produce(topic, partition, &write_batch(records, time_ms), wait_ms);
        let answer = self.ask_known(PRODUCE, &request).await?;
        messages::read_produced(&answer)
    }

    fn knows(&self, api: Api) -> bool {
        self.versions.iter().any(|(key, oldest, newest)| *key == api.key && (*oldest..=*newest).contains(&api.version))
    }

    async fn ask_known(&mut self, api: Api, body: &[u8]) -> Result<Vec<u8>, Error> {
        if !self.knows(api) {
            return Err(Error::Version { request: api.name, version: api.version });
        }
        self.ask(api, body).await
    }

    /// Sends a request and waits for its answer, of which the number is taken off.
    async fn ask(&mut self, api: Api, body: &[u8]) -> Result<Vec<u8>, Error> {
        self.number = self.number.wrapping_add(1);
        let mut request = Writer::default();
        request.i16(api.key).i16(api.version).i32(self.number).text(CLIENT_ID).raw(body);
        let length = u32::try_from(request.0.len());
        let length = length.map_err(|_| Error::NotKafka("a request is longer than the protocol can say"))?;
        self.transport.write(&[&length.to_be_bytes()[..], &request.0].concat()).await?;
        let answer = self.read().await?;
        let mut reader = Reader(&answer);
        if reader.i32()? != self.number {
            return Err(Error::NotKafka("an answer is to another request"));
        }
        Ok(reader.0.to_vec())
    }

    async fn read(&mut self) -> Result<Vec<u8>, Error> {
        let mut length = [0; 4];
        self.transport.read(&mut length).await?;
        let said = u32::from_be_bytes(length);
        let length = usize::try_from(said).ok().filter(|length| *length <= ANSWER_BYTES_MAX);
        let length = length.ok_or(Error::TooLong { length: u64::from(said), max: ANSWER_BYTES_MAX })?;
        let mut answer = Vec::new();
        while answer.len() < length {
            let begin = answer.len();
            answer.resize(length.min(begin + READ_BYTES), 0);
            self.transport.read(&mut answer[begin..]).await?;
        }
        Ok(answer)
    }
}

/// A text that is new every time.
fn nonce() -> String {
    let mut bytes = [0; 24];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has random bytes");
    STANDARD.encode(bytes)
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("number", &self.number).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use aws_lc_rs::{digest, hmac, pbkdf2};
    use futures::executor::block_on;
    use futures::future::BoxFuture;

    use super::*;

    const SALT: &[u8] = b"salt";
    const ITERATIONS: u32 = 4_096;

    /// A broker that knows what RFC 5802 has a server keep: two keys, not the password.
    struct Broker {
        stored_key: Vec<u8>,
        server_key: Vec<u8>,
        /// What was said so far that both sides sign.
        exchange: String,
        answer: Vec<u8>,
    }

    fn signed(key: &[u8], message: &[u8]) -> Vec<u8> {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA512, key), message).as_ref().to_vec()
    }

    impl Broker {
        fn new(password: &str) -> Self {
            let mut salted = [0; 64];
            let iterations = ITERATIONS.try_into().unwrap();
            pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA512, iterations, SALT, password.as_bytes(), &mut salted);
            let stored_key = digest::digest(&digest::SHA512, &signed(&salted, b"Client Key")).as_ref().to_vec();
            let (exchange, answer) = (String::new(), Vec::new());
            Self { stored_key, server_key: signed(&salted, b"Server Key"), exchange, answer }
        }

        fn hear(&mut self, request: &[u8]) {
            let key = i16::from_be_bytes([request[4], request[5]]);
            let body = &request[4 + 8 + 2 + CLIENT_ID.len()..];
            let mut answer = Writer::default();
            answer.raw(&request[8..12]);
            match key {
                18 => {
                    answer.i16(0).length(2);
                    for key in [17, 36] {
                        answer.i16(key).i16(0).i16(1);
                    }
                }
                17 => drop(
                    answer.i16(if body[2..] == *b"SCRAM-SHA-512" { 0 } else { 33 }).length(1).text("SCRAM-SHA-512"),
                ),
                _ => {
                    let (code, words) = self.words(std::str::from_utf8(&body[4..]).unwrap());
                    answer.i16(code).i16(-1).bytes(words.as_bytes());
                }
            }
            self.answer.extend_from_slice(&u32::try_from(answer.0.len()).unwrap().to_be_bytes());
            self.answer.extend(answer.0);
        }

        fn words(&mut self, said: &str) -> (i16, String) {
            if let Some(first) = said.strip_prefix("n,,") {
                let nonce = first.split_once(",r=").unwrap().1;
                let own = format!("r={nonce}more,s={},i={ITERATIONS}", STANDARD.encode(SALT));
                self.exchange = format!("{first},{own}");
                return (0, own);
            }
            let (without_proof, proof) = said.rsplit_once(",p=").unwrap();
            let exchange = format!("{},{without_proof}", self.exchange);
            let signature = signed(&self.stored_key, exchange.as_bytes());
            let proof = STANDARD.decode(proof).unwrap();
            let client_key: Vec<u8> =
                proof.iter().zip(&signature).map(|(proof, signature)| proof ^ signature).collect();
            match digest::digest(&digest::SHA512, &client_key).as_ref() == self.stored_key {
                true => (0, format!("v={}", STANDARD.encode(signed(&self.server_key, exchange.as_bytes())))),
                false => (58, String::new()),
            }
        }
    }

    impl Transport for Broker {
        fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, io::Result<()>> {
            self.hear(bytes);
            Box::pin(async { Ok(()) })
        }

        fn read<'a>(&'a mut self, buffer: &'a mut [u8]) -> BoxFuture<'a, io::Result<()>> {
            buffer.copy_from_slice(&self.answer.drain(..buffer.len()).collect::<Vec<u8>>());
            Box::pin(async { Ok(()) })
        }
    }

    fn open(broker: Broker, mechanism: Mechanism) -> Result<(), String> {
        let login = Login { mechanism, user: "moneta".to_owned(), password: "secret".to_owned() };
        block_on(Connection::open(Box::new(broker), Some(&login))).map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn both_sides_prove_that_they_know_the_password() {
        assert_eq!(open(Broker::new("secret"), Mechanism::ScramSha512), Ok(()));
        let refused = open(Broker::new("other"), Mechanism::ScramSha512).unwrap_err();
        assert!(refused.contains("SASL_AUTHENTICATION_FAILED"), "{refused}");
        let posing = Broker { server_key: b"guessed".to_vec(), ..Broker::new("secret") };
        let refused = open(posing, Mechanism::ScramSha512).unwrap_err();
        assert!(refused.contains("does not know the password"), "{refused}");
        let refused = open(Broker::new("secret"), Mechanism::ScramSha256).unwrap_err();
        assert!(refused.ends_with("SCRAM-SHA-256; it has SCRAM-SHA-512"), "{refused}");
    }
}
