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
    found: Mutex<Option<Found>>,
    /// When an acquisition sent the last successful request.
    pub(crate) last_success: Mutex<Option<Moment>>,
    /// The last nonce for DPoP proofs, and the origin that sent it.
    nonce: Mutex<Option<(String, Arc<str>)>>,
    /// The scope of the last token.
    scope: Mutex<Option<Arc<str>>>,
}

/// The discovery document of the issuer.
struct Found {
    metadata: Arc<Metadata>,
    /// When an acquisition read the document.
    read: Moment,
    /// Whether the endpoint proved missing or unreachable, so that the next acquisition reads the
    /// document again.
    is_doubted: bool,
}

impl KnownServer {
    /// Returns the document, unless it is too old or doubted.
    pub(crate) fn known(&self, now: Moment) -> Option<Arc<Metadata>> {
        let found = self.found.lock();
        let found = found.as_ref().filter(|found| !found.is_doubted)?;
        (now.since(found.read) < LIFE).then(|| Arc::clone(&found.metadata))
    }

    /// Returns the document for messages, even if it is too old or doubted.
    pub(crate) fn last(&self) -> Option<Arc<Metadata>> {
        let found = self.found.lock();
        found.as_ref().map(|found| Arc::clone(&found.metadata))
    }

    /// Returns the nonce that the next proof for this endpoint must carry.
    pub(crate) fn nonce_for(&self, endpoint: &TokenEndpoint) -> Option<Arc<str>> {
        let nonce = self.nonce.lock();
        let (origin, nonce) = nonce.as_ref()?;
        (*origin == endpoint.origin()).then(|| Arc::clone(nonce))
    }

    /// Remembers the nonce that an answer of this endpoint provides.
    pub(crate) fn learn_nonce(&self, endpoint: &TokenEndpoint, nonce: &str) {
        *self.nonce.lock() = Some((endpoint.origin(), nonce.into()));
    }

    /// Returns the scope of a token. Reuses the memory of the previous token's scope if both are
    /// equal, because most tokens of a client have the same scope.
    pub(crate) fn shared_scope(&self, scope: &str) -> Arc<str> {
        let mut last = self.scope.lock();
        if let Some(last) = last.as_ref().filter(|last| ***last == *scope) {
            return Arc::clone(last);
        }
        let shared = Arc::from(scope);
        *last = Some(Arc::clone(&shared));
        shared
    }

    /// Remembers a document.
    pub(crate) fn learn(&self, metadata: Arc<Metadata>, now: Moment) {
        *self.found.lock() = Some(Found {
            metadata,
            read: now,
            is_doubted: false,
        });
    }

    /// Doubts a document whose endpoint does not exist or is unreachable.
    pub(crate) fn doubt(&self, metadata: &Arc<Metadata>) {
        if let Some(found) = &mut *self.found.lock()
            && Arc::ptr_eq(&found.metadata, metadata)
        {
            found.is_doubted = true;
        }
    }

    /// Keeps using a doubted document, because an attempt to read it again failed.
    pub(crate) fn stop_doubting(&self) {
        if let Some(found) = &mut *self.found.lock() {
            found.is_doubted = false;
        }
    }
}
