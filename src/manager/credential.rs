//! Gets what a client proves itself with from where the user keeps it.
//!
//! A function runs on the thread that owns the manager, a file is read on a thread that may hang:
//! both are calls that acquisitions which overlap share. A call that did not settle in time is
//! forgotten, and its late answer ignored.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use zeroize::Zeroizing;

use super::Owner;
use super::config::{Credential, CredentialFiles, Material, PemSource, name_of_file};
use super::error::Error;
use super::sync::Mutex;
use crate::oauth::{ClientAssertion, ClientSecret, SigningKey};
use crate::transport::{ClientIdentity, FileError, IdentityFault, read_file};

/// Ids are not used again, so that the answer to a call of a former source is nobody else's.
static LAST_ID: AtomicU32 = AtomicU32::new(0);

/// A larger file is no credential.
const LARGEST_FILE: u64 = 256 * 1024;

/// How often a certificate and a key that do not belong together are read.
const MOST_LOOKS_AT_A_PAIR: u32 = 10;

const BETWEEN_LOOKS_AT_A_PAIR: Duration = Duration::from_millis(50);

/// Names one call of the secret function or one read of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallId(pub u32);

/// What a call gave.
pub(super) type Answer = Result<Material, Error>;

#[derive(Clone)]
enum Progress {
    /// The owning thread was told.
    Asked,
    /// The function runs, or the file is read.
    Called,
    Answered(Answer),
    /// The secret comes from elsewhere now, and the function was not called yet.
    Withdrawn,
}

#[derive(Clone)]
struct Call {
    id: CallId,
    progress: watch::Sender<Progress>,
    /// Acquisitions that begin now may wait for it too.
    is_joinable: bool,
}

/// Where the credential comes from, and the calls under way.
pub struct CredentialSource(Mutex<State>);

/// Under one lock, so that no call of a former credential is joined.
struct State {
    credential: Credential,
    calls: Vec<Call>,
    /// What files held when the server accepted it last.
    accepted: Option<Material>,
    /// How often it was replaced.
    generation: u64,
    /// It is for flights begun before alone: the function is now that of its successor.
    is_retired: bool,
}

/// A credential that is there or under way.
pub enum Pending {
    /// It is there.
    Ready(Material),
    /// A call is under way.
    Called(CallId, Progressing),
    /// There is none for this flight any more.
    Withdrawn,
}

/// The end of a call that an acquisition waits at.
pub struct Progressing(watch::Receiver<Progress>);

impl CredentialSource {
    /// A source.
    #[must_use]
    pub fn new(credential: Credential) -> Self {
        Self(Mutex::new(State {
            credential,
            calls: Vec::new(),
            accepted: None,
            generation: 0,
            is_retired: false,
        }))
    }

    /// Takes the credential from elsewhere from now on. Calls under way still answer those who wait,
    /// but a function that is gone is not called any more.
    pub fn replace(&self, credential: Credential) {
        let mut state = self.0.lock();
        if !matches!(credential, Credential::Function) {
            state.withdraw();
        }
        state.credential = credential;
        state.accepted = None;
        state.generation = state.generation.wrapping_add(1);
        for call in &mut state.calls {
            call.is_joinable = false;
        }
    }

    /// Its function is another client's from now on. A call that was made still answers.
    pub fn retire(&self) {
        let mut state = self.0.lock();
        state.is_retired = true;
        state.withdraw();
    }

    /// Asks for the credential, or joins the call under way.
    pub(super) fn ask(self: &Arc<Self>, owner: &Arc<dyn Owner>) -> Pending {
        let (files, call, receiver, is_new) = {
            let mut state = self.0.lock();
            let (first, files) = match &state.credential {
                Credential::Given(material) => return Pending::Ready(material.clone()),
                Credential::Function if state.is_retired => return Pending::Withdrawn,
                Credential::Function => (Progress::Asked, None),
                Credential::Files(files) => (Progress::Called, Some(files.clone())),
            };
            let (call, is_new) = state.join_or_start(first);
            (files, call.id, call.progress.subscribe(), is_new)
        };
        if is_new {
            if let Some(files) = files {
                tokio::spawn(Arc::clone(self).read(call, files));
            } else {
                owner.ask_secret(call);
            }
        }
        Pending::Called(call, Progressing(receiver))
    }

    async fn read(self: Arc<Self>, call: CallId, files: CredentialFiles) {
        let answer = files.read().await;
        self.answer(call, answer);
    }

    /// Names what [`CredentialSource::replace`] replaces.
    pub(super) fn generation(&self) -> u64 {
        self.0.lock().generation
    }

    /// The server accepted this, which came from here while it had that generation.
    pub(super) fn accept(&self, material: &Material, generation: u64) {
        let mut state = self.0.lock();
        let is_present = state.generation == generation;
        if is_present && matches!(state.credential, Credential::Files(_)) {
            state.accepted = Some(material.clone());
        }
    }

    /// What files held when the server accepted it last.
    pub(super) fn accepted(&self) -> Option<Material> {
        self.0.lock().accepted.clone()
    }

    /// Whether this call is under way here.
    pub fn has(&self, id: CallId) -> bool {
        self.0.lock().calls.iter().any(|call| call.id == id)
    }

    /// The owning thread calls the function now. Says whether anybody wants that.
    pub fn called(&self, id: CallId) -> bool {
        let state = self.0.lock();
        let call = state.calls.iter().find(|call| call.id == id);
        if let Some(call) = call {
            call.progress.send_replace(Progress::Called);
        }
        call.is_some()
    }

    /// A call gave this. Ignored if nobody waits for it any more.
    pub fn answer(&self, id: CallId, answer: Answer) {
        let mut state = self.0.lock();
        if let Some(index) = state.calls.iter().position(|call| call.id == id) {
            let call = state.calls.swap_remove(index);
            call.progress.send_replace(Progress::Answered(answer));
        }
    }

    /// Lets go of a call that takes too long: the next acquisition starts another. A read that hangs
    /// holds a thread, so there is no second one beside it.
    pub fn forget(&self, id: CallId) {
        let mut state = self.0.lock();
        if matches!(state.credential, Credential::Function) {
            for call in state.calls.iter_mut().filter(|call| call.id == id) {
                call.is_joinable = false;
            }
        }
    }
}

impl State {
    fn join_or_start(&mut self, first: Progress) -> (Call, bool) {
        self.calls
            .retain(|call| call.is_joinable || call.progress.receiver_count() > 0);
        if let Some(call) = self.calls.iter().find(|call| call.is_joinable) {
            return (call.clone(), false);
        }
        let call = Call {
            id: CallId(LAST_ID.fetch_add(1, Ordering::Relaxed).wrapping_add(1)),
            progress: watch::Sender::new(first),
            is_joinable: true,
        };
        self.calls.push(call.clone());
        (call, true)
    }

    fn withdraw(&mut self) {
        self.calls.retain(|call| {
            let is_asked = matches!(*call.progress.borrow(), Progress::Asked);
            if is_asked {
                call.progress.send_replace(Progress::Withdrawn);
            }
            !is_asked
        });
    }
}

impl Progressing {
    /// Waits until the function is called, or will not be: the deadline starts there.
    pub async fn called(&mut self) {
        let is_called = |progress: &Progress| !matches!(progress, Progress::Asked);
        // A source that is gone closes the channel: `answered` then says so.
        let _ = self.0.wait_for(is_called).await;
    }

    /// Waits for the answer; `None` if the call was withdrawn, and the source is to be asked again.
    pub async fn answered(&mut self) -> Option<Answer> {
        let is_over =
            |progress: &Progress| matches!(progress, Progress::Answered(_) | Progress::Withdrawn);
        let progress = self.0.wait_for(is_over).await;
        match progress.map(|progress| progress.clone()) {
            Ok(Progress::Answered(answer)) => Some(answer),
            Ok(Progress::Withdrawn) => None,
            _ => Some(Err(Error::internal())),
        }
    }
}

impl CredentialFiles {
    async fn read(&self) -> Answer {
        Ok(match self {
            Self::Secret(path) => {
                let file = CredentialFile::read("clientSecretFile", path).await?;
                let secret = ClientSecret::new(file.line().to_owned());
                Material::Secret(Arc::new(secret.ok_or_else(|| file.fault("is empty"))?))
            }
            Self::Assertion(path) => {
                let file = CredentialFile::read("clientAssertionFile", path).await?;
                let assertion = ClientAssertion::new(file.line().trim().to_owned());
                Material::Assertion(Arc::new(assertion.ok_or_else(|| file.fault("is empty"))?))
            }
            Self::Key(path) => {
                let file = CredentialFile::read("privateKeyFile", path).await?;
                let key = SigningKey::parse(&file.text);
                let key = key.map_err(|fault| file.fault(&format!("cannot be used: {fault}")))?;
                Material::Key(Arc::new(key))
            }
            Self::Identity { certificate, key } => {
                let identity = read_identity(certificate, key).await?;
                let identity = identity.map_err(|fault| {
                    let (option, detail) = fault.describe();
                    let source = if option == "clientKey" {
                        key
                    } else {
                        certificate
                    };
                    unusable(&source.name(option), &detail)
                })?;
                Material::Identity(Arc::new(identity))
            }
        })
    }
}

/// Reads both, again for a moment while they do not belong together: they may be being replaced.
async fn read_identity(
    certificate: &PemSource,
    key: &PemSource,
) -> Result<Result<ClientIdentity, IdentityFault>, Error> {
    for _ in 1..MOST_LOOKS_AT_A_PAIR {
        let identity = look_at_pair(certificate, key).await?;
        if !matches!(identity, Err(IdentityFault::Mismatch)) {
            return Ok(identity);
        }
        tokio::time::sleep(BETWEEN_LOOKS_AT_A_PAIR).await;
    }
    look_at_pair(certificate, key).await
}

async fn look_at_pair(
    certificate: &PemSource,
    key: &PemSource,
) -> Result<Result<ClientIdentity, IdentityFault>, Error> {
    let certificate = pem("clientCertificateFile", certificate).await?;
    let key = pem("clientKeyFile", key).await?;
    let identity = ClientIdentity::parse(&certificate, &key);
    #[cfg(feature = "http")]
    let identity = identity.and_then(|identity| identity.check().map(|()| identity));
    Ok(identity)
}

async fn pem(option: &'static str, source: &PemSource) -> Result<Arc<Zeroizing<String>>, Error> {
    Ok(match source {
        PemSource::Given(text) => Arc::clone(text),
        PemSource::File(path) => Arc::new(CredentialFile::read(option, path).await?.text),
    })
}

/// What `name` names is there, and no credential.
pub(super) fn unusable(name: &str, detail: &str) -> Error {
    Error::credential(&format!("{name} cannot be used: {detail}"))
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
        let bytes = match read_file(path.to_owned(), LARGEST_FILE).await {
            Err(FileError::TooLarge { .. }) => {
                return Err(file.fault("is too large to be a credential"));
            }
            bytes => bytes.map_err(|error| file.fault(&error.to_string()))?,
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| file.fault("is not UTF-8"))?;
        file.text = Zeroizing::new(text.to_owned());
        Ok(file)
    }

    /// Its text less one trailing newline.
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
#[expect(clippy::panic, clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[tokio::test]
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
            ("not text", b"\xff\xfe", Err("is not UTF-8")),
        ] {
            let path = dir.join("secret");
            std::fs::write(&path, content).unwrap();
            match (CredentialFiles::Secret(path).read().await, expected) {
                (Ok(Material::Secret(secret)), Ok(text)) => {
                    assert_eq!(secret.expose(), text, "{name}");
                }
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{name}"),
                (got, _) => panic!("{name}: {got:?}"),
            }
        }
        let folder = CredentialFiles::Secret(dir.clone())
            .read()
            .await
            .unwrap_err()
            .to_string();
        assert!(folder.contains("is not a regular file"), "{folder}");
        let missing = CredentialFiles::Secret(dir.join("missing"))
            .read()
            .await
            .unwrap_err()
            .to_string();
        assert!(missing.contains("missing\" cannot be read"), "{missing}");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
