//! A raw loopback server that a test controls step by step: the server accepts, reads, answers and
//! breaks connections only when the test tells it to. No task runs in the background, so every
//! failure fails the test. A wait that lasts [`LIMIT`] fails the test.

use std::{future::Future, io::ErrorKind, net::SocketAddr, task::Poll, time::Duration};

use oauth::{Answer, ExtraHeaders, TokenEndpoint, TokenRequest};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use transport::{HttpTransport, Progress, Transport, TransportError};
use zeroize::Zeroizing;

/// The maximum time for which a test waits for one event.
pub const LIMIT: Duration = Duration::from_secs(10);

/// Waits for `event` with a time limit.
pub async fn soon<F: Future>(event: F) -> F::Output {
    tokio::time::timeout(LIMIT, event)
        .await
        .expect("the event did not come")
}

/// Lets every ready task run, often enough for a connection to return to the pool after the client
/// has read the answer. The client does not report the return.
pub async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Returns a request to `url` with a small form.
pub fn token_request(url: &str) -> TokenRequest {
    TokenRequest {
        endpoint: TokenEndpoint::parse(url).unwrap(),
        authorization: None,
        headers: ExtraHeaders::default(),
        body: Some(Zeroizing::new(b"grant_type=client_credentials".to_vec())),
    }
}

/// Returns the length of the body that follows this head.
pub fn content_length(head: &str) -> usize {
    let length = head.lines().find_map(|line| {
        let line = line.to_ascii_lowercase();
        line.strip_prefix("content-length: ")?.parse().ok()
    });
    length.unwrap()
}

pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}/token?x=1", self.address)
    }

    pub fn request(&self) -> TokenRequest {
        token_request(&self.url())
    }

    pub async fn accept(&self) -> Peer {
        let (stream, _) = soon(self.listener.accept()).await.unwrap();
        Peer { stream }
    }

    /// Accepts a connection, and reads its first request.
    pub async fn accept_request(&self) -> Peer {
        let mut peer = self.accept().await;
        peer.request().await;
        peer
    }

    /// Whether a client's connection is waiting for the server to accept it.
    pub async fn has_caller(&self) -> bool {
        settle().await;
        let accept = std::future::poll_fn(|cx| Poll::Ready(self.listener.poll_accept(cx)));
        accept.await.is_ready()
    }
}

/// One accepted connection.
pub struct Peer {
    stream: TcpStream,
}

impl Peer {
    /// Reads one request: the head as sent, and the body that its Content-Length announces.
    pub async fn request(&mut self) -> (String, Vec<u8>) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(soon(self.stream.read_u8()).await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let mut body = vec![0; content_length(&head)];
        soon(self.stream.read_exact(&mut body)).await.unwrap();
        (head, body)
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        soon(self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Reads exactly `N` bytes.
    pub async fn read<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        soon(self.stream.read_exact(&mut bytes)).await.unwrap();
        bytes
    }

    /// Reads a length in one byte, and then that number of bytes.
    pub async fn read_counted(&mut self) -> Vec<u8> {
        let [count] = self.read().await;
        let mut bytes = vec![0; usize::from(count)];
        soon(self.stream.read_exact(&mut bytes)).await.unwrap();
        bytes
    }

    /// Sends a 200 response, and leaves the connection open.
    pub async fn answer(&mut self, body: &str) {
        let length = body.len();
        self.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"))
            .await;
    }

    /// Reads a request and answers it.
    pub async fn serve(&mut self, body: &str) {
        self.request().await;
        self.answer(body).await;
    }

    /// Closes with RST instead of FIN.
    pub fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }

    /// Closes the sending side, as a server does with an idle connection, and waits for the client
    /// to close its side.
    pub async fn close(mut self) {
        self.stream.shutdown().await.unwrap();
        self.closed().await;
    }

    /// Waits for the client to close the connection.
    pub async fn closed(mut self) {
        match soon(self.stream.read(&mut [0])).await {
            Ok(0) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            other => panic!("expected the end of the connection, got {other:?}"),
        }
    }
}

/// Sends a request as a manager does, but makes only one attempt.
pub async fn exchange(
    transport: &HttpTransport,
    request: &TokenRequest,
) -> Result<Answer, TransportError> {
    let progress = Progress::default();
    let mut pass = transport.admit(&request.endpoint, None, &progress).await?;
    transport.send(&mut pass, request, &progress).await
}
