//! The limit on concurrent token requests to one origin, which all managers of the process share.

use std::sync::{Arc, LazyLock};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Progress, Stage, TransportError, share::Shared};
use oauth::TokenEndpoint;

/// The maximum number of concurrent token requests to one origin in the process.
pub const MAX_REQUESTS_PER_ORIGIN: usize = 64;

static ORIGINS: LazyLock<Shared<String, Origin>> = LazyLock::new(Shared::new);

/// An origin and its permits. Dropping the last reference removes the origin from the table.
pub struct Origin {
    name: String,
    permits: Arc<Semaphore>,
}

impl Drop for Origin {
    fn drop(&mut self) {
        ORIGINS.forget(&self.name);
    }
}

impl Origin {
    /// Returns the origin of an endpoint.
    #[must_use]
    pub fn of(endpoint: &TokenEndpoint) -> Arc<Self> {
        Self::shared(endpoint.origin())
    }

    fn shared(name: String) -> Arc<Self> {
        ORIGINS.get(&name).unwrap_or_else(|| {
            let permits = Arc::new(Semaphore::new(MAX_REQUESTS_PER_ORIGIN));
            let origin = Self {
                name: name.clone(),
                permits,
            };
            ORIGINS.share(name, origin)
        })
    }

    /// Whether this origin is the origin of the endpoint.
    #[must_use]
    pub fn is_of(&self, endpoint: &TokenEndpoint) -> bool {
        self.name == endpoint.origin()
    }

    /// Waits until the limit allows another request.
    ///
    /// # Errors
    ///
    /// The error is [`TransportError::Internal`] if the semaphore is closed, which never happens.
    pub async fn admit(
        self: &Arc<Self>,
        progress: &Progress,
    ) -> Result<OriginPermit, TransportError> {
        progress.enter(Stage::WaitingForFreeSlot);
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        Ok(OriginPermit {
            _origin: Arc::clone(self),
            _permit: permit.map_err(|_| TransportError::Internal)?,
        })
    }
}

/// A permit to send requests to an origin, one at a time.
pub struct OriginPermit {
    _origin: Arc<Origin>,
    _permit: OwnedSemaphorePermit,
}
