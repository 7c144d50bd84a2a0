//! What acquisitions have learnt about the server.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::Moment;
use oauth::Metadata;

/// How long a document is remembered.
const LIFE: Duration = Duration::from_hours(24);

/// What acquisitions have learnt about a server. It outlives changes of other options.
#[derive(Default)]
pub(crate) struct Server {
    /// The discovery document of an issuer as it was last read.
    found: Mutex<Option<(Arc<Metadata>, Moment)>>,
    /// Whether the token endpoint has returned a token.
    pub(crate) has_worked: AtomicBool,
    /// When the request that returned the last token was sent.
    pub(crate) last_success: Mutex<Option<Moment>>,
}

impl Server {
    /// The document, unless it is too old.
    pub(crate) fn known(&self, now: Moment) -> Option<Arc<Metadata>> {
        let found = self.found.lock();
        let (metadata, read) = found.as_ref()?;
        (now.since(*read) < LIFE).then(|| Arc::clone(metadata))
    }

    /// The document that was read last, for messages.
    pub(crate) fn last(&self) -> Option<Arc<Metadata>> {
        self.found.lock().as_ref().map(|(last, _)| Arc::clone(last))
    }

    /// Remembers a document.
    pub(crate) fn learn(&self, metadata: Arc<Metadata>, now: Moment) {
        *self.found.lock() = Some((metadata, now));
    }

    /// Forgets a document whose endpoint does not exist.
    pub(crate) fn forget(&self, metadata: &Arc<Metadata>) {
        self.found
            .lock()
            .take_if(|(known, _)| Arc::ptr_eq(known, metadata));
    }
}
