//! One question to the server and its answer, signed both ways, over TCP: an answer of any length comes whole, and
//! nobody else's is taken for the server's.

use super::outcome::Trouble;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::tsig::TsigError;
use hickory_proto::rr::{Record, RecordType, TSigVerifier, TSigner};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A transfer may take so many times as long as an answer.
const TRANSFER: u32 = 12;

/// Who is asked, and how.
pub(super) struct Server {
    pub address: SocketAddr,
    pub signer: TSigner,
    /// How long an answer may take.
    pub patience: Duration,
    pub clock: fn() -> SystemTime,
}

impl Server {
    /// Asks, and has the answer's code, which the server has signed.
    pub async fn ask(&self, message: Message) -> Result<ResponseCode, Trouble> {
        let answer = timeout(self.patience, async {
            let (mut stream, mut verifier) = self.send(message).await?;
            receive(&mut stream, &mut verifier).await
        });
        Ok(answer.await.map_err(|_| self.late(1))??.response_code)
    }

    /// Asks for all records of a zone, and hands on each.
    pub async fn transfer(
        &self,
        message: Message,
        mut each: impl FnMut(&Record) + Send,
    ) -> Result<(), Trouble> {
        let all = async {
            let (mut stream, mut verifier) = self.send(message).await?;
            // The first record and the last are the zone's SOA: RFC 5936, section 2.2.
            let mut marks = 0;
            while marks < 2 {
                let part = receive(&mut stream, &mut verifier).await?;
                if part.response_code != ResponseCode::NoError {
                    return Err(Trouble::Said(part.response_code));
                }
                let begins =
                    part.answers.first().is_some_and(|r| r.record_type() == RecordType::SOA);
                if marks == 0 && !begins {
                    return Err(Trouble::Lost("it is no transfer of a zone".to_owned()));
                }
                for record in &part.answers {
                    marks += u8::from(record.record_type() == RecordType::SOA && marks < 2);
                    each(record);
                }
            }
            Ok(())
        };
        timeout(self.patience * TRANSFER, all).await.map_err(|_| self.late(TRANSFER))?
    }

    fn late(&self, times: u32) -> Trouble {
        Trouble::Lost(format!("not within {} s", (self.patience * times).as_secs_f32()))
    }

    async fn send(&self, mut message: Message) -> Result<(TcpStream, Answers), Trouble> {
        let now = (self.clock)().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let unsigned = |error| Trouble::Lost(format!("the request could not be signed: {error}"));
        let verifier = message.finalize(&self.signer, now.as_secs()).map_err(unsigned)?;
        let verifier =
            verifier.ok_or_else(|| Trouble::Lost("the request is not signed".to_owned()))?;
        let id = message.id;
        let bytes = message.to_vec().map_err(|error| Trouble::Lost(error.to_string()))?;
        let length =
            u16::try_from(bytes.len()).map_err(|error| Trouble::Lost(error.to_string()))?;
        let mut stream = TcpStream::connect(self.address).await.map_err(lost)?;
        stream.write_all(&[&length.to_be_bytes()[..], &bytes].concat()).await.map_err(lost)?;
        Ok((stream, Answers { id, verifier }))
    }
}

/// What answers have to be like.
struct Answers {
    id: u16,
    verifier: TSigVerifier,
}

async fn receive(stream: &mut TcpStream, expected: &mut Answers) -> Result<Message, Trouble> {
    let length = stream.read_u16().await.map_err(lost)?;
    let mut bytes = vec![0; length.into()];
    stream.read_exact(&mut bytes).await.map_err(lost)?;
    let message = Message::from_vec(&bytes).map_err(|error| Trouble::Lost(error.to_string()))?;
    if message.id != expected.id {
        return Err(Trouble::Unsigned("it answers another question".to_owned()));
    }
    // Who does not accept our signature cannot sign for us either, or not in a way that we accept.
    if let Some(error) = rejection(&message) {
        return Err(Trouble::Key(error));
    }
    match expected.verifier.verify(&bytes) {
        Ok(_) => Ok(message),
        // Whoever refuses may do so before it has looked who asks: worth to be told, for nothing is done by it.
        Err(_) if message.signature.is_none() && message.response_code != ResponseCode::NoError => {
            Err(Trouble::Said(message.response_code))
        }
        Err(error) => Err(Trouble::Unsigned(error.to_string())),
    }
}

fn rejection(message: &Message) -> Option<TsigError> {
    let error = message.signature.as_ref()?.data.error?;
    (message.response_code == ResponseCode::NotAuth).then_some(error)
}

fn lost(error: io::Error) -> Trouble {
    Trouble::Lost(error.to_string())
}
