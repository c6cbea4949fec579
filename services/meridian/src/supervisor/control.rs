//! How other commands talk to a supervisor: one JSON object a line, over loopback.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use super::Role;
use crate::error::{CliError, Result};
use crate::mesh::Supervisor;
use crate::wan::Change;

/// Longest line taken, bytes.
const LINE_BYTES: u64 = 4_096;

/// What a command asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) verb: Verb,
    /// All regions if absent.
    #[serde(default)]
    pub(crate) region: Option<String>,
    /// All its processes if absent.
    #[serde(default)]
    pub(crate) role: Option<Role>,
    /// All of that role if absent; see [`super::ProcessId`].
    #[serde(default)]
    pub(crate) number: Option<usize>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verb {
    /// Start what was stopped.
    Start,
    /// End in order; no restart.
    Stop,
    /// SIGKILL; no restart.
    Kill,
    /// End everything, the supervisor too.
    Down,
    /// Have something be wrong with links, or nothing any more.
    Wan(Change),
    /// Put wall clocks ahead by so many ms, for drills.
    Skew(i64),
}

/// The answer, given once it is so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reply {
    /// Why it could not be done.
    pub(crate) error: Option<String>,
}

/// A request with the way back to who asked.
pub(crate) type Asked = (Request, oneshot::Sender<Reply>);

/// Takes requests for as long as the receiver lives.
pub(crate) async fn serve(listener: TcpListener, asked: mpsc::Sender<Asked>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream, asked.clone()));
    }
}

async fn answer(stream: TcpStream, asked: mpsc::Sender<Asked>) {
    let mut stream = BufReader::new(stream);
    let reply = match read_line::<Request>(&mut stream).await {
        // Whoever only wanted to know whether somebody listens.
        Ok(None) => return,
        Ok(Some(request)) => {
            let (reply, replied) = oneshot::channel();
            let _stopping = asked.send((request, reply)).await;
            replied.await.unwrap_or(Reply { error: Some("the mesh is stopping".into()) })
        }
        Err(error) => Reply { error: Some(error) },
    };
    let _gone = write_line(stream.get_mut(), &reply).await;
}

/// Asks a supervisor, and waits until it is done.
///
/// # Errors
/// It is not there, or it says why it cannot.
pub(crate) async fn ask(supervisor: &Supervisor, request: &Request) -> Result<()> {
    let lost = |why: String| CliError::Unreachable {
        what: "the supervisor".into(),
        at: supervisor.control.clone(),
        why,
    };
    let stream = TcpStream::connect(&supervisor.control).await.map_err(|e| lost(e.to_string()))?;
    let mut stream = BufReader::new(stream);
    write_line(stream.get_mut(), request).await.map_err(|e| lost(e.to_string()))?;
    let reply = read_line::<Reply>(&mut stream).await.map_err(lost)?;
    match reply {
        Some(Reply { error: None }) => Ok(()),
        Some(Reply { error: Some(message) }) => Err(CliError::Usage(message)),
        // It is gone, as asked.
        None if request.verb == Verb::Down => Ok(()),
        None => Err(lost("it went away".into())),
    }
}

async fn read_line<T: DeserializeOwned>(
    stream: &mut BufReader<TcpStream>,
) -> Result<Option<T>, String> {
    let mut line = String::new();
    let read = stream.take(LINE_BYTES).read_line(&mut line).await.map_err(|e| e.to_string())?;
    if read == 0 {
        return Ok(None);
    }
    serde_json::from_str(&line).map(Some).map_err(|e| format!("not a request: {e}"))
}

async fn write_line(stream: &mut TcpStream, value: &impl Serialize) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    stream.write_all(&line).await
}
