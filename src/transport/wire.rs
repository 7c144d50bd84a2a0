//! One HTTP/1.1 connection, and one exchange after another over it.
//!
//! A connection has no task of its own: whoever exchanges drives it, so nothing is handed from one
//! thread or task to another on the way.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, HeaderName, RETRY_AFTER};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Body as _, Incoming},
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use zeroize::Zeroizing;

use super::MAX_BODY;
use crate::oauth::{Answer, ContentEncoding, RetryAfter};

/// Bytes to and from a peer, whatever is between.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(super) type Body = Full<Bytes>;

type Connection = http1::Connection<TokioIo<Box<dyn Stream>>, Body>;

/// A connection.
pub(super) struct Wire {
    sender: SendRequest<Body>,
    connection: Connection,
    has_ended: bool,
}

/// Why there is no whole answer.
#[derive(Debug)]
pub(super) enum Cut {
    /// Nothing came for as long as the caller would wait.
    Silent,
    /// The connection had ended before anything was sent.
    Ended,
    Failed(hyper::Error),
    TooLarge {
        status: u16,
    },
}

impl Wire {
    pub(super) async fn new(stream: Box<dyn Stream>) -> Result<Self, hyper::Error> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self {
            sender,
            connection,
            has_ended: false,
        })
    }

    /// Whether the next request may go over it. Who asks is woken when the peer closes it.
    pub(super) fn is_open(&mut self, cx: &mut Context<'_>) -> bool {
        self.advance(cx);
        !self.has_ended && self.sender.is_ready()
    }

    /// Sends a request and reads the whole answer. Nothing may be missing for longer than
    /// `patience`, if there is one.
    pub(super) async fn exchange(
        &mut self,
        request: Request<Body>,
        patience: Option<Duration>,
    ) -> Result<Answer, Cut> {
        let sending = self.sender.send_request(request);
        let response = self.drive(patience, sending).await?;
        let status = response.status().as_u16();
        let header = |name: HeaderName| response.headers().get(name)?.to_str().ok();
        let retry_after = header(RETRY_AFTER).and_then(RetryAfter::parse);
        let content_encoding = header(CONTENT_ENCODING).and_then(ContentEncoding::parse);
        let body = self.body(response, patience).await?;
        Ok(Answer {
            status,
            retry_after,
            content_encoding,
            body,
        })
    }

    /// Asks a proxy for a tunnel: the stream behind it, or the status with which it refused.
    pub(super) async fn tunnel(
        mut self,
        request: Request<Body>,
    ) -> Result<Result<Box<dyn Stream>, u16>, hyper::Error> {
        let sending = self.sender.send_request(request);
        let mut sending = pin!(sending);
        let response = poll_fn(|cx| {
            // The connection must not be shut down when the tunnel stands.
            let polled = self.connection.poll_without_shutdown(cx);
            match (sending.as_mut().poll(cx), polled) {
                (Poll::Pending, Poll::Ready(Err(error))) => Poll::Ready(Err(error)),
                (response, _) => response,
            }
        })
        .await?;
        if !response.status().is_success() {
            return Ok(Err(response.status().as_u16()));
        }
        Ok(Ok(self.connection.into_parts().io.into_inner()))
    }

    async fn body(
        &mut self,
        response: Response<Incoming>,
        patience: Option<Duration>,
    ) -> Result<Zeroizing<Vec<u8>>, Cut> {
        let status = response.status().as_u16();
        let mut incoming = response.into_body();
        let announced = incoming.size_hint().exact().unwrap_or_default();
        let capacity = usize::try_from(announced).unwrap_or(usize::MAX);
        if capacity > MAX_BODY {
            return Err(Cut::TooLarge { status });
        }
        let mut body = Zeroizing::new(Vec::with_capacity(capacity));
        loop {
            let next = async { incoming.frame().await.transpose() };
            let Some(frame) = self.drive(patience, next).await? else {
                return Ok(body);
            };
            // The other kind of frame are trailers.
            let Ok(chunk) = frame.into_data() else {
                continue;
            };
            if body.len().saturating_add(chunk.len()) > MAX_BODY {
                return Err(Cut::TooLarge { status });
            }
            append(&mut body, &chunk);
        }
    }

    /// Waits for what comes over the connection, and keeps it going meanwhile.
    async fn drive<T>(
        &mut self,
        patience: Option<Duration>,
        work: impl Future<Output = Result<T, hyper::Error>>,
    ) -> Result<T, Cut> {
        let mut work = pin!(work);
        let driving = poll_fn(|cx| {
            if let Poll::Ready(result) = work.as_mut().poll(cx) {
                return Poll::Ready(result.map_err(Cut::Failed));
            }
            self.advance(cx);
            match work.as_mut().poll(cx) {
                Poll::Ready(result) => Poll::Ready(result.map_err(Cut::Failed)),
                // One that ends before it has taken the request leaves it where it is.
                Poll::Pending if self.has_ended => Poll::Ready(Err(Cut::Ended)),
                Poll::Pending => Poll::Pending,
            }
        });
        match patience {
            None => driving.await,
            Some(patience) => timeout(patience, driving).await.unwrap_or(Err(Cut::Silent)),
        }
    }

    /// Its end, and why it ended, is told to whoever waits for something from it.
    fn advance(&mut self, cx: &mut Context<'_>) {
        if !self.has_ended {
            self.has_ended = Pin::new(&mut self.connection).poll(cx).is_ready();
        }
    }
}

/// Appends without leaving a copy behind, as growing in place would.
fn append(body: &mut Zeroizing<Vec<u8>>, chunk: &[u8]) {
    let length = body.len().saturating_add(chunk.len());
    if length > body.capacity() {
        let capacity = body.capacity().saturating_mul(2).max(length);
        let mut larger = Zeroizing::new(Vec::with_capacity(capacity));
        larger.extend_from_slice(body);
        *body = larger;
    }
    body.extend_from_slice(chunk);
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use http::{HeaderValue, header::HOST};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    fn request() -> Request<Body> {
        let mut request = Request::new(Body::default());
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::from_static("h"));
        request
    }

    #[tokio::test]
    async fn request_on_a_connection_that_ended_unseen_is_not_waited_for() {
        let (ours, mut theirs) = duplex(1024);
        let mut wire = Wire::new(Box::new(ours)).await.unwrap();
        let serving = async {
            let mut request = [0; 16];
            theirs.read_exact(&mut request).await.unwrap();
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
            theirs.write_all(answer).await.unwrap();
        };
        let (answer, ()) = tokio::join!(wire.exchange(request(), None), serving);
        assert_eq!(&answer.unwrap().body[..], b"{}");
        drop(theirs);
        let second = timeout(Duration::from_secs(5), wire.exchange(request(), None));
        assert!(matches!(second.await.unwrap(), Err(Cut::Ended | Cut::Failed(_))));
    }
}
