//! What callers bring, and how a cluster is found by any of its brokers.

use std::io;

use futures::future::BoxFuture;

use crate::{BrokerAddress, Connection, Error, Login, Metadata};

/// The bytes of one connection.
pub trait Transport: Send {
    /// Sends all of them.
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, io::Result<()>>;

    /// Fills the buffer.
    fn read<'a>(&'a mut self, buffer: &'a mut [u8]) -> BoxFuture<'a, io::Result<()>>;
}

/// Makes connections to brokers. A broker names the others: whoever implements this decides which are called.
pub trait Connect: Send + Sync {
    /// Why a connection is not made, or a request fails.
    type Error: From<Error> + Send;

    /// A connection to a broker, with TLS where it is wanted.
    fn connect<'a>(&'a self, broker: &'a BrokerAddress) -> BoxFuture<'a, Result<Box<dyn Transport>, Self::Error>>;

    /// How to sign in there.
    fn login(&self) -> Option<&Login>;

    /// A connection to a broker that is signed in.
    fn open<'a>(&'a self, broker: &'a BrokerAddress) -> BoxFuture<'a, Result<Connection, Self::Error>> {
        Box::pin(async move {
            let transport = self.connect(broker).await?;
            Ok(Connection::open(transport, self.login()).await?)
        })
    }
}

/// Asks the brokers one after the other, until one says who leads the topics' partitions.
///
/// # Errors
/// That of the last broker, when none does.
pub async fn find<C: Connect>(connect: &C, brokers: &[BrokerAddress], topics: &[String]) -> Result<Metadata, C::Error> {
    let mut last = Error::Connection(io::ErrorKind::NotFound.into()).into();
    for broker in brokers {
        let asked = async { Ok(connect.open(broker).await?.metadata(topics).await?) };
        match asked.await {
            Ok(metadata) => return Ok(metadata),
            Err(error) => last = error,
        }
    }
    Err(last)
}
