//! The facts that acquisitions have learnt about the server.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::Moment;
use oauth::{Metadata, TokenEndpoint};

/// The time for which acquisitions remember a document.
const LIFE: Duration = Duration::from_hours(24);

/// The facts that acquisitions have learnt about a server. A change of options that keeps the
/// server also keeps these facts.
#[derive(Default)]
pub(crate) struct KnownServer {
    /// The discovery document of the issuer, and the time at which an acquisition last read it.
    found: Mutex<Option<(Arc<Metadata>, Moment)>>,
    /// When an acquisition sent the last successful request.
    pub(crate) last_success: Mutex<Option<Moment>>,
    /// The last nonce for DPoP proofs, and the origin that sent it.
    nonce: Mutex<Option<(String, Arc<str>)>>,
}

impl KnownServer {
    /// Returns the document, unless it is too old.
    pub(crate) fn known(&self, now: Moment) -> Option<Arc<Metadata>> {
        let found = self.found.lock();
        let (metadata, read) = found.as_ref()?;
        (now.since(*read) < LIFE).then(|| Arc::clone(metadata))
    }

    /// Returns the document whatever its age, for messages.
    pub(crate) fn last(&self) -> Option<Arc<Metadata>> {
        self.found.lock().as_ref().map(|(last, _)| Arc::clone(last))
    }

    /// Returns the nonce that the next proof for this endpoint has to carry.
    pub(crate) fn nonce_for(&self, endpoint: &TokenEndpoint) -> Option<Arc<str>> {
        let nonce = self.nonce.lock();
        let (origin, nonce) = nonce.as_ref()?;
        (*origin == endpoint.origin()).then(|| Arc::clone(nonce))
    }

    /// Remembers the nonce that an answer of this endpoint provides.
    pub(crate) fn learn_nonce(&self, endpoint: &TokenEndpoint, nonce: &str) {
        *self.nonce.lock() = Some((endpoint.origin(), nonce.into()));
    }

    /// Remembers a document.
    pub(crate) fn learn(&self, metadata: Arc<Metadata>, now: Moment) {
        *self.found.lock() = Some((metadata, now));
    }

    /// Forgets a document whose endpoint does not exist or is unreachable.
    pub(crate) fn forget(&self, metadata: &Arc<Metadata>) {
        self.found
            .lock()
            .take_if(|(known, _)| Arc::ptr_eq(known, metadata));
    }
}
