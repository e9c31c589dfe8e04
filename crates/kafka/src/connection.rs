//! One connection to one broker: requests, one at a time, and their answers.

use crate::cluster::Transport;
use crate::messages::{
    self, API_VERSIONS, Api, FETCH, FETCH_OLD, FetchFrom, FetchLimits, Fetched, LIST_OFFSETS, METADATA, Metadata,
    PRODUCE, Place, SASL_AUTHENTICATE, SASL_HANDSHAKE,
};
use crate::wire::{Reader, Writer};
use crate::{Error, NewRecord, write_batch};

/// Bytes of an answer at most: several times what is asked for, since one batch comes whole however long it is.
const ANSWER_BYTES_MAX: usize = 128 << 20;
/// Bytes of an answer that room is made for before they have come.
const READ_BYTES: usize = 1 << 20;
/// By what brokers know this client in their logs and quotas.
const CLIENT_ID: &str = "moneta";

/// How to sign in: the mechanism PLAIN, which sends the password as it is. Behind TLS only, where it matters.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The name; `$ConnectionString` for Azure Event Hubs.
    pub user: String,
    /// The password; the connection string for Azure Event Hubs.
    pub password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
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
            let mechanism = messages::write_mechanism("PLAIN");
            let answer = connection.ask_known(SASL_HANDSHAKE, &mechanism).await?;
            messages::read_mechanism(&answer)?;
            let words = messages::write_plain(&login.user, &login.password);
            let answer = connection.ask_known(SASL_AUTHENTICATE, &words).await?;
            messages::read_authenticated(&answer)?;
        }
        Ok(connection)
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

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("number", &self.number).finish_non_exhaustive()
    }
}
