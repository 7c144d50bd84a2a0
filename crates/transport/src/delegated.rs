//! A request that another thread sends on behalf of a transport.
//!
//! The transport passes the request as one value, and the other thread returns the result as one
//! value. A transport that abandons the request ignores the result.

use tokio::sync::oneshot;

use super::{Progress, Stage, TransportError};
use oauth::{Answer, TokenRequest};

/// A request for another thread.
#[derive(Debug)]
pub struct DelegatedRequest {
    /// Identifies the request in the process.
    pub id: u32,
    /// The request to send.
    pub request: TokenRequest,
    /// Receives the result.
    pub pending: PendingAnswer,
}

/// Receives the result of a delegated request. Dropping it ends the request without a result.
#[derive(Debug)]
pub struct PendingAnswer {
    progress: Progress,
    sender: oneshot::Sender<Result<Answer, TransportError>>,
}

/// Yields the result, or an error if the other thread dropped the request.
pub type DelegatedAnswer = oneshot::Receiver<Result<Answer, TransportError>>;

impl DelegatedRequest {
    /// Creates a request and the future that yields its result.
    #[must_use]
    pub fn new(id: u32, request: TokenRequest, progress: &Progress) -> (Self, DelegatedAnswer) {
        let (sender, receiver) = oneshot::channel();
        progress.enter(Stage::WaitingToBeSent);
        let pending = PendingAnswer {
            progress: progress.clone(),
            sender,
        };
        let delegated = Self {
            id,
            request,
            pending,
        };
        (delegated, receiver)
    }
}

impl PendingAnswer {
    /// Records that the other thread has started to send the request. Returns whether the transport
    /// still waits for the result.
    #[must_use]
    pub fn start(&self) -> bool {
        let is_open = !self.sender.is_closed();
        if is_open {
            self.progress.enter(Stage::WaitingForAnswer);
        }
        is_open
    }

    /// Delivers the result. A transport that has abandoned the request ignores the result.
    pub fn deliver(self, result: Result<Answer, TransportError>) {
        drop(self.sender.send(result));
    }
}
