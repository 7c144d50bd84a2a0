//! Gets the client's secret from where the user keeps it.
//!
//! A function runs on the thread that owns the manager, a file is read on a thread that may hang:
//! both are calls that acquisitions which overlap share. A call that did not settle in time is
//! forgotten, and its late answer ignored.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::Owner;
use super::config::Credential;
use super::error::Error;
use crate::oauth::ClientSecret;

/// Ids are not used again, so that the answer to a call of a former source is nobody's.
static LAST_ID: AtomicU32 = AtomicU32::new(0);

/// A larger file is not a secret.
const LARGEST_FILE: u64 = 64 * 1024;

/// Names one call of the secret function or one read of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallId(pub u32);

/// What a call gave.
pub type Answer = Result<Arc<ClientSecret>, Error>;

#[derive(Clone)]
enum Progress {
    /// The owning thread was told.
    Asked,
    /// The function runs, or the file is read.
    Called,
    Answered(Answer),
}

#[derive(Clone)]
struct Call {
    id: CallId,
    progress: watch::Sender<Progress>,
    /// Acquisitions that begin now may wait for it too.
    is_joinable: bool,
}

#[derive(Default)]
struct Calls {
    under_way: Vec<Call>,
}

/// Where the secret comes from, and the calls under way.
pub struct SecretSource {
    credential: Mutex<Credential>,
    calls: Mutex<Calls>,
}

/// A secret that is there or under way.
pub enum Pending {
    /// It is there.
    Ready(Arc<ClientSecret>),
    /// A call is under way.
    Called(CallId, Progressing),
}

/// The end of a call that an acquisition waits at.
pub struct Progressing(watch::Receiver<Progress>);

impl SecretSource {
    /// A source.
    #[must_use]
    pub fn new(credential: Credential) -> Self {
        Self {
            credential: Mutex::new(credential),
            calls: Mutex::default(),
        }
    }

    /// Takes the secret from elsewhere from now on. Calls under way still answer those who wait.
    pub fn replace(&self, credential: Credential) {
        *self.credential.lock() = credential;
        for call in &mut self.calls.lock().under_way {
            call.is_joinable = false;
        }
    }

    /// Asks for the secret, or joins the call under way.
    pub fn ask(self: &Arc<Self>, owner: &Arc<dyn Owner>) -> Pending {
        let credential = self.credential.lock().clone();
        let first = match credential {
            Credential::Secret(secret) => return Pending::Ready(secret),
            Credential::Function => Progress::Asked,
            Credential::File(_) => Progress::Called,
        };
        let (call, is_new) = self.join_or_start(first);
        let receiver = call.progress.subscribe();
        if is_new {
            if let Credential::File(path) = credential {
                let (source, id) = (Arc::clone(self), call.id);
                tokio::task::spawn_blocking(move || source.answer(id, read_file(&path)));
            } else {
                owner.ask_secret(call.id);
            }
        }
        Pending::Called(call.id, Progressing(receiver))
    }

    fn join_or_start(&self, first: Progress) -> (Call, bool) {
        let mut calls = self.calls.lock();
        calls
            .under_way
            .retain(|call| call.is_joinable || call.progress.receiver_count() > 0);
        if let Some(call) = calls.under_way.iter().find(|call| call.is_joinable) {
            return (call.clone(), false);
        }
        let call = Call {
            id: CallId(LAST_ID.fetch_add(1, Ordering::Relaxed).wrapping_add(1)),
            progress: watch::Sender::new(first),
            is_joinable: true,
        };
        calls.under_way.push(call.clone());
        (call, true)
    }

    /// The owning thread calls the function now.
    pub fn called(&self, id: CallId) {
        let calls = self.calls.lock();
        if let Some(call) = calls.under_way.iter().find(|call| call.id == id) {
            call.progress.send_replace(Progress::Called);
        }
    }

    /// A call gave this. Ignored if nobody waits for it any more.
    pub fn answer(&self, id: CallId, answer: Answer) {
        let mut calls = self.calls.lock();
        if let Some(index) = calls.under_way.iter().position(|call| call.id == id) {
            let call = calls.under_way.swap_remove(index);
            call.progress.send_replace(Progress::Answered(answer));
        }
    }

    /// Lets go of a call that takes too long: the next acquisition starts another. A read that hangs
    /// holds a thread, so there is no second one beside it.
    pub fn forget(&self, id: CallId) {
        if matches!(*self.credential.lock(), Credential::Function) {
            let mut calls = self.calls.lock();
            for call in calls.under_way.iter_mut().filter(|call| call.id == id) {
                call.is_joinable = false;
            }
        }
    }
}

impl Progressing {
    /// Waits until the function is called: the deadline starts there.
    pub async fn called(&mut self) {
        let is_called = |progress: &Progress| !matches!(progress, Progress::Asked);
        // A source that is gone closes the channel: `answered` then says so.
        let _ = self.0.wait_for(is_called).await;
    }

    /// Waits for the answer.
    ///
    /// # Errors
    /// What the call failed with.
    pub async fn answered(&mut self) -> Answer {
        let is_answered = |progress: &Progress| matches!(progress, Progress::Answered(_));
        match self
            .0
            .wait_for(is_answered)
            .await
            .map(|progress| progress.clone())
        {
            Ok(Progress::Answered(answer)) => answer,
            _ => Err(Error::internal()),
        }
    }
}

fn read_file(path: &Path) -> Answer {
    let fault = |what: &str| {
        let shown = path.display().to_string();
        Error::credential(&format!("clientSecretFile \"{}\" {what}", shown.escape_debug()))
    };
    let unreadable = |error: std::io::Error| fault(&format!("cannot be read: {error}"));
    // A pipe would block for ever when it is opened.
    if !path.metadata().map_err(unreadable)?.is_file() {
        return Err(fault("is not a regular file"));
    }
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    file.take(LARGEST_FILE)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if u64::try_from(bytes.len()).unwrap_or(LARGEST_FILE) == LARGEST_FILE {
        return Err(fault("is too large to be a secret"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| fault("is not UTF-8"))?;
    let text = text
        .strip_suffix('\n')
        .map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    let secret = ClientSecret::new(text.to_owned()).ok_or_else(|| fault("is empty"))?;
    Ok(Arc::new(secret))
}

#[cfg(test)]
#[expect(clippy::panic, clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_its_text_less_one_trailing_newline() {
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
            match (read_file(&path), expected) {
                (Ok(secret), Ok(text)) => assert_eq!(secret.expose(), text, "{name}"),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{name}"),
                (got, _) => panic!("{name}: {got:?}"),
            }
        }
        let folder = read_file(&dir).unwrap_err().to_string();
        assert!(folder.contains("is not a regular file"), "{folder}");
        let missing = read_file(&dir.join("missing")).unwrap_err().to_string();
        assert!(missing.contains("missing\" cannot be read"), "{missing}");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
