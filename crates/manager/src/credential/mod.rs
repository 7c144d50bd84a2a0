//! Obtains the client's credential from its configured source.
//!
//! Also calls a derived manager's assertion function (JWT authorization grant).
//!
//! Both functions run on the JavaScript thread. Overlapping acquisitions share a call to the secret
//! function, but each makes its own call to the assertion function. An acquisition abandons a call
//! that does not settle in time, and ignores its late result. Every acquisition reads the
//! credential files again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::config::{Credential, CredentialConfig, CredentialFiles, PemSource, name_of_file};
use crate::derived::{ManagerId, PARENT};
use crate::error::Error;
use crate::events::{Event, EventSink};
use crate::sync::Mutex;
use oauth::{ClientAssertion, ClientSecret, SigningKey};
use transport::{ClientIdentity, FileError, IdentityFault, read_file};

/// The size limit of a credential file, in bytes.
const MAX_FILE: u64 = 256 * 1024;

/// The maximum number of times that an acquisition reads unusable files before it fails.
const MAX_READS: u32 = 10;

const PAUSE_BETWEEN_READS: Duration = Duration::from_millis(50);

#[derive(Clone, Debug)]
enum CallState {
    /// The call waits in the queue for the JavaScript thread.
    Queued,
    /// The function is running.
    Running,
    Settled(Result<Credential, Error>),
}

/// A call to the secret function or to a derived manager's assertion function, for the thread that
/// makes the call. Dropping this value ends the call with an error.
#[derive(Debug)]
pub struct SecretCall {
    state: watch::Sender<CallState>,
    manager: ManagerId,
}

impl SecretCall {
    /// Returns the derived manager whose assertion function this call is for, or [`PARENT`] for the
    /// secret function.
    #[must_use]
    pub const fn manager(&self) -> ManagerId {
        self.manager
    }

    /// Returns the error for a function that failed.
    #[must_use]
    pub fn failure(&self, what: &str) -> Error {
        if self.manager == PARENT {
            Error::credential(what)
        } else {
            Error::assertion(what)
        }
    }

    /// Marks the call as started. Returns whether an acquisition still waits for its result.
    #[must_use]
    pub fn start(&self) -> bool {
        self.state.send(CallState::Running).is_ok()
    }

    /// Delivers the result of the function.
    pub fn settle(self, answer: Result<Arc<ClientSecret>, Error>) {
        let answer = answer.map(Credential::Secret);
        self.state.send_replace(CallState::Settled(answer));
    }
}

impl Drop for SecretCall {
    fn drop(&mut self) {
        let what = if self.manager == PARENT {
            "the configuration changed before the clientSecret function returned a secret"
        } else {
            "the configuration changed before the grant.assertion function returned an assertion"
        };
        let failure = self.failure(what);
        self.state.send_if_modified(|progress| {
            let is_open = !matches!(progress, CallState::Settled(_));
            if is_open {
                *progress = CallState::Settled(Err(failure));
            }
            is_open
        });
    }
}

/// Provides the credential of one configuration.
pub(super) struct CredentialProvider {
    source: CredentialConfig,
    /// The derived manager whose assertion function provides the credential; otherwise [`PARENT`].
    manager: ManagerId,
    /// The current call to the secret function, which acquisitions join.
    call: Mutex<Option<watch::Sender<CallState>>>,
    /// The last credential from files that the server accepted.
    accepted: Mutex<Option<Credential>>,
}

impl CredentialProvider {
    pub(super) fn new(source: CredentialConfig) -> Self {
        Self {
            source,
            manager: PARENT,
            call: Mutex::new(None),
            accepted: Mutex::new(None),
        }
    }

    /// Creates a provider that calls the assertion function of a derived manager.
    pub(super) fn of_assertions(manager: ManagerId) -> Self {
        Self {
            manager,
            ..Self::new(CredentialConfig::Function)
        }
    }

    /// Requests the credential. With a function, starts a call or joins the call in progress.
    pub(super) fn request(&self, events: &Arc<dyn EventSink>) -> CredentialRequest<'_> {
        match &self.source {
            CredentialConfig::Given(credential) => CredentialRequest::Ready(credential.clone()),
            CredentialConfig::Files(files) => CredentialRequest::Files(files),
            CredentialConfig::Function => {
                let (receiver, call) = self.join_or_start();
                if let Some(call) = call {
                    events.push(Event::SecretWanted(call));
                }
                CredentialRequest::Function(CallWaiter {
                    provider: self,
                    receiver,
                })
            }
        }
    }

    fn join_or_start(&self) -> (watch::Receiver<CallState>, Option<SecretCall>) {
        let mut call = self.call.lock();
        if let Some(sender) = &*call
            && !matches!(*sender.borrow(), CallState::Settled(_))
        {
            return (sender.subscribe(), None);
        }
        let (sender, receiver) = watch::channel(CallState::Queued);
        *call = Some(sender.clone());
        let call = SecretCall {
            state: sender,
            manager: self.manager,
        };
        (receiver, Some(call))
    }

    /// Records that the server accepted this credential.
    pub(super) fn accept(&self, credential: &Credential) {
        if matches!(self.source, CredentialConfig::Files(_)) {
            *self.accepted.lock() = Some(credential.clone());
        }
    }

    /// Returns the last credential from files that the server accepted.
    pub(super) fn accepted(&self) -> Option<Credential> {
        self.accepted.lock().clone()
    }
}

/// A requested credential.
pub(super) enum CredentialRequest<'a> {
    Ready(Credential),
    Files(&'a CredentialFiles),
    Function(CallWaiter<'a>),
}

impl CredentialRequest<'_> {
    /// Waits until the event loop has called the secret function, if there is one. The deadline of
    /// an acquisition starts at that moment.
    pub(super) async fn started(&mut self) {
        if let Self::Function(call) = self {
            let has_started = |progress: &CallState| !matches!(progress, CallState::Queued);
            // The provider holds a sender, so the channel is open.
            let _ = call.receiver.wait_for(has_started).await;
        }
    }

    pub(super) async fn get(self) -> Result<Credential, Error> {
        match self {
            Self::Ready(credential) => Ok(credential),
            Self::Files(files) => files.read().await,
            Self::Function(mut call) => call.settled().await,
        }
    }
}

/// An acquisition that waits for the secret function.
pub(super) struct CallWaiter<'a> {
    provider: &'a CredentialProvider,
    receiver: watch::Receiver<CallState>,
}

impl CallWaiter<'_> {
    async fn settled(&mut self) -> Result<Credential, Error> {
        let is_settled = |progress: &CallState| matches!(progress, CallState::Settled(_));
        match self.receiver.wait_for(is_settled).await.as_deref() {
            Ok(CallState::Settled(answer)) => answer.clone(),
            _ => Err(Error::internal()),
        }
    }
}

// After a missed deadline, the next acquisition makes a new call.
impl Drop for CallWaiter<'_> {
    fn drop(&mut self) {
        let mut call = self.provider.call.lock();
        if let Some(sender) = &*call
            && sender.subscribe().same_channel(&self.receiver)
        {
            *call = None;
        }
    }
}

impl CredentialFiles {
    /// Reads the credential. If it is not usable, another program may be writing the files, so this
    /// function reads them again a few times.
    async fn read(&self) -> Result<Credential, Error> {
        for _ in 1..MAX_READS {
            if let Ok(credential) = self.read_once().await {
                return Ok(credential);
            }
            tokio::time::sleep(PAUSE_BETWEEN_READS).await;
        }
        self.read_once().await
    }

    async fn read_once(&self) -> Result<Credential, Error> {
        Ok(match self {
            Self::Secret(path) => {
                let file = CredentialFile::read("clientSecretFile", path).await?;
                let secret = ClientSecret::new(file.line().to_owned());
                Credential::Secret(Arc::new(secret.ok_or_else(|| file.fault("is empty"))?))
            }
            Self::Assertion(path) => {
                let file = CredentialFile::read("clientAssertionFile", path).await?;
                let assertion = ClientAssertion::new(file.line().trim().to_owned());
                Credential::Assertion(Arc::new(assertion.ok_or_else(|| file.fault("is empty"))?))
            }
            Self::Key(path) => {
                let file = CredentialFile::read("privateKeyFile", path).await?;
                let key = SigningKey::parse(&file.text);
                let key = key.map_err(|fault| file.fault(&format!("is not usable: {fault}")))?;
                Credential::Key(Arc::new(key))
            }
            Self::Identity { certificate, key } => {
                let identity = read_pair(certificate, key).await?.map_err(|fault| {
                    let (option, detail) = fault.describe();
                    let source = if option == "clientKey" {
                        key
                    } else {
                        certificate
                    };
                    unusable(&source.name(option), &detail)
                })?;
                Credential::Identity(Arc::new(identity))
            }
        })
    }
}

async fn read_pair(
    certificate: &PemSource,
    key: &PemSource,
) -> Result<Result<ClientIdentity, IdentityFault>, Error> {
    let certificate = pem("clientCertificateFile", certificate).await?;
    let key = pem("clientKeyFile", key).await?;
    let identity = ClientIdentity::parse(&certificate, &key);
    Ok(identity.and_then(|identity| identity.check().map(|()| identity)))
}

async fn pem(option: &'static str, source: &PemSource) -> Result<Arc<Zeroizing<String>>, Error> {
    Ok(match source {
        PemSource::Given(text) => Arc::clone(text),
        PemSource::File(path) => Arc::new(CredentialFile::read(option, path).await?.text),
    })
}

/// Returns the error for a credential that exists but that the manager cannot use.
pub(super) fn unusable(name: &str, detail: &str) -> Error {
    Error::credential(&format!("{name} is not usable: {detail}"))
}

/// The text of a file that holds a credential.
struct CredentialFile<'a> {
    option: &'static str,
    path: &'a Path,
    text: Zeroizing<String>,
}

impl<'a> CredentialFile<'a> {
    async fn read(option: &'static str, path: &'a Path) -> Result<Self, Error> {
        let mut file = Self {
            option,
            path,
            text: Zeroizing::default(),
        };
        let bytes = read_file(path.to_owned(), MAX_FILE).await;
        let bytes = bytes.map_err(|error| match error {
            FileError::TooLarge { .. } => file.fault("is too large to be a credential"),
            error => file.fault(&error.to_string()),
        })?;
        let text = std::str::from_utf8(&bytes).map_err(|_| file.fault("is not valid UTF-8"))?;
        file.text = Zeroizing::new(text.to_owned());
        Ok(file)
    }

    /// Returns the text without its trailing newline, if it has one.
    fn line(&self) -> &str {
        let text = self.text.as_str();
        text.strip_suffix('\n')
            .map_or(text, |text| text.strip_suffix('\r').unwrap_or(text))
    }

    fn fault(&self, what: &str) -> Error {
        Error::credential(&format!("{} {what}", name_of_file(self.option, self.path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_file_gives_its_text_less_one_trailing_newline() {
        let dir = std::env::temp_dir().join(format!("secret-file-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        for (name, content, expected) in [
            ("plain", &b"s3cr+t"[..], Ok("s3cr+t")),
            ("newline", b"s3cr+t\n", Ok("s3cr+t")),
            ("carriage return", b"s3cr+t\r\n", Ok("s3cr+t")),
            ("two newlines", b"s3cr+t\n\n", Ok("s3cr+t\n")),
            ("spaces stay", b" a \n", Ok(" a ")),
            ("empty", b"", Err("is empty")),
            ("only a newline", b"\n", Err("is empty")),
            ("not text", b"\xff\xfe", Err("is not valid UTF-8")),
        ] {
            let path = dir.join("secret");
            std::fs::write(&path, content).unwrap();
            match (CredentialFiles::Secret(path).read().await, expected) {
                (Ok(Credential::Secret(secret)), Ok(text)) => {
                    assert_eq!(secret.expose(), text, "{name}");
                }
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{name}"),
                (got, _) => panic!("{name}: {got:?}"),
            }
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
