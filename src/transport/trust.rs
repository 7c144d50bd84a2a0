//! Whom TLS believes: the certificates that Node itself trusts, plus the caller's.
//!
//! Node's own are handed over by JavaScript as PEM, once for the process. Gathering them costs
//! milliseconds, so a server is first held against the authorities that are named: `ca`, `caFile`
//! and `NODE_EXTRA_CA_CERTS`. The operating system is never asked: an image without certificate
//! files must work.
//! Parsing many certificates and reading files take time: who calls does it on a thread for that.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, OnceLock},
};

use parking_lot::Mutex;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio::sync::Notify;

use super::{
    TransportError,
    fault::clean,
    joined::{Joined, Room},
};

/// The largest file of certificates that is read, in bytes. System bundles have some 200 KB.
const MAX_TRUST_FILE: u64 = 8 * 1024 * 1024;

static NODE_ROOTS: OnceLock<NodeRoots> = OnceLock::new();

static NODE_ROOTS_ARRIVED: Notify = Notify::const_new();

/// Hands over the certificates that Node trusts, as PEM blocks one after another.
///
/// The first call in a process counts. A block that cannot serve as a root is skipped: Node's
/// bundle is not ours to refuse.
pub fn set_node_roots(pem: &str) {
    NODE_ROOTS.get_or_init(|| NodeRoots {
        pem: Mutex::new(pem.to_owned()),
        parsed: OnceLock::new(),
    });
    NODE_ROOTS_ARRIVED.notify_waiters();
}

/// Waits for [`set_node_roots`].
pub(super) async fn node_roots() {
    loop {
        let arrival = NODE_ROOTS_ARRIVED.notified();
        if node_roots_are_set() {
            return;
        }
        arrival.await;
    }
}

type FileReads = Joined<PathBuf, Result<Arc<TrustFile>, TransportError>>;

static FILE_READS: LazyLock<Arc<FileReads>> = LazyLock::new(|| Joined::new(Room::for_files()));
static ENVIRONMENT_READ: LazyLock<Arc<Joined<(), ()>>> =
    LazyLock::new(|| Joined::new(Room::for_files()));
static ENVIRONMENT_ROOTS: OnceLock<Option<Arc<PemCertificates>>> = OnceLock::new();

/// The certificates of `NODE_EXTRA_CA_CERTS`, read once for the process.
pub(super) async fn environment_roots()
-> Result<Option<&'static Arc<PemCertificates>>, TransportError> {
    if ENVIRONMENT_ROOTS.get().is_none() {
        let read = || drop(ENVIRONMENT_ROOTS.set(read_environment_roots()));
        let read = ENVIRONMENT_READ.run((), read).await;
        read.ok_or(TransportError::Internal)?;
    }
    Ok(known_environment_roots())
}

fn known_environment_roots() -> Option<&'static Arc<PemCertificates>> {
    ENVIRONMENT_ROOTS.get().and_then(Option::as_ref)
}

/// Node warns of a file that it cannot read, and goes on without.
///
/// Node looks at the variable when the process starts, so it is taken from there, which only Linux
/// shows; elsewhere the certificates come with the rest that Node trusts.
fn read_environment_roots() -> Option<Arc<PemCertificates>> {
    let environment = std::fs::read("/proc/self/environ").ok()?;
    let path = variable(&environment, "NODE_EXTRA_CA_CERTS").filter(|path| !path.is_empty())?;
    let content = read_limited(Path::new(path)).ok()?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&content)
        .flatten()
        .filter(|certificate| RootCertStore::empty().add(certificate.clone()).is_ok())
        .collect();
    (!certificates.is_empty()).then(|| Arc::new(PemCertificates { certificates }))
}

/// A variable of an environment as the system shows it: `NAME=value`, each ended by a NUL.
fn variable<'a>(environment: &'a [u8], name: &str) -> Option<&'a str> {
    let mut entries = environment
        .split(|byte| *byte == 0)
        .map(std::str::from_utf8);
    entries.find_map(|entry| entry.ok()?.strip_prefix(name)?.strip_prefix('='))
}

/// Whether [`set_node_roots`] was called in this process.
#[must_use]
pub fn node_roots_are_set() -> bool {
    NODE_ROOTS.get().is_some()
}

struct NodeRoots {
    /// Emptied when it is parsed.
    pem: Mutex<String>,
    parsed: OnceLock<Arc<RootCertStore>>,
}

impl NodeRoots {
    fn parsed(&self) -> Arc<RootCertStore> {
        let parse = || {
            let pem = std::mem::take(&mut *self.pem.lock());
            let mut roots = RootCertStore::empty();
            let certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).flatten();
            roots.add_parsable_certificates(certificates);
            Arc::new(roots)
        };
        Arc::clone(self.parsed.get_or_init(parse))
    }
}

/// What a manager says about trust.
#[derive(Clone, Debug, Default)]
pub struct TrustSettings {
    /// Certificates trusted in addition to Node's.
    pub extra: Option<Arc<PemCertificates>>,
    /// A PEM file with further ones. Read for every request, so a replaced file counts at once.
    pub file: Option<PathBuf>,
    /// Accept any certificate. The other two are then not looked at.
    pub skip_verify: bool,
}

/// At least one certificate, each usable as a trust anchor.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PemCertificates {
    certificates: Vec<CertificateDer<'static>>,
}

impl PemCertificates {
    /// Reads PEM. Blocks that are no certificates are passed over.
    ///
    /// # Errors
    ///
    /// Broken PEM, no certificate at all, or one that cannot serve as a trust anchor.
    pub fn parse(pem: &[u8]) -> Result<Self, PemFault> {
        let mut certificates = Vec::new();
        for (index, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
            let number = index.saturating_add(1);
            let certificate = certificate.map_err(|_| PemFault::NotPem { number })?;
            RootCertStore::empty()
                .add(certificate.clone())
                .map_err(|_| PemFault::NotACertificate { number })?;
            certificates.push(certificate);
        }
        if certificates.is_empty() {
            return Err(PemFault::Empty);
        }
        Ok(Self { certificates })
    }
}

impl fmt::Debug for PemCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PemCertificates({})", self.certificates.len())
    }
}

/// Why a text is not a list of certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PemFault {
    /// There is no certificate in it.
    Empty,
    /// A block is cut off or not Base64.
    NotPem {
        /// Which certificate, counted from 1.
        number: usize,
    },
    /// A block decodes, but not to a certificate.
    NotACertificate {
        /// Which certificate, counted from 1.
        number: usize,
    },
}

impl fmt::Display for PemFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("there is no PEM certificate in it"),
            Self::NotPem { number } => write!(f, "certificate {number} is broken PEM"),
            Self::NotACertificate { number } => {
                write!(f, "certificate {number} cannot be parsed")
            }
        }
    }
}

impl std::error::Error for PemFault {}

/// Settings with their files read: what decides whether two managers may share connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Trust {
    /// Plain http, or https whatever the certificate.
    Unverified,
    Roots {
        /// Whether Node's certificates are there; they do not change once they are.
        node: bool,
        extra: Option<Arc<PemCertificates>>,
        file: Option<Arc<PemCertificates>>,
    },
}

impl Trust {
    /// Whether there are many certificates to parse, which takes milliseconds.
    pub(super) fn is_costly(&self) -> bool {
        matches!(self, Self::Roots { node: true, .. })
    }

    /// Whether the certificates that Node trusts might still change the verdict.
    pub(super) fn lacks_node_roots(&self) -> bool {
        matches!(self, Self::Roots { node: false, .. })
    }

    /// The certificates that are named, and those of Node. `None` if any certificate will do.
    pub(super) fn roots(&self) -> Result<Option<Arc<RootCertStore>>, TransportError> {
        let Self::Roots {
            node: has_node,
            extra,
            file,
        } = self
        else {
            return Ok(None);
        };
        let mut roots = NODE_ROOTS
            .get()
            .filter(|_| *has_node)
            .map_or_else(|| Arc::new(RootCertStore::empty()), NodeRoots::parsed);
        let named = [known_environment_roots(), extra.as_ref(), file.as_ref()];
        for pem in named.into_iter().flatten() {
            let roots = Arc::make_mut(&mut roots);
            for certificate in &pem.certificates {
                let added = roots.add(certificate.clone());
                added.map_err(|_| TransportError::Internal)?;
            }
        }
        Ok(Some(roots))
    }
}

/// A file of certificates as it was last read.
#[derive(Debug)]
pub(super) struct TrustFile {
    content: Vec<u8>,
    pub(super) certificates: Arc<PemCertificates>,
}

impl TrustFile {
    /// Reads the file, and parses it unless it is what it was.
    pub(super) async fn load(
        path: PathBuf,
        last: Option<Arc<Self>>,
    ) -> Result<Arc<Self>, TransportError> {
        let key = path.clone();
        let read = FILE_READS.run(key, move || Self::read(&path, last)).await;
        read.unwrap_or(Err(TransportError::Internal))
    }

    /// Blocks.
    fn read(path: &Path, last: Option<Arc<Self>>) -> Result<Arc<Self>, TransportError> {
        let fault = |detail: String| TransportError::TrustFile {
            path: clean(&path.display().to_string()),
            detail: clean(&detail),
        };
        let content = read_limited(path).map_err(|error| fault(error.to_string()))?;
        match last {
            Some(last) if last.content == content => Ok(last),
            _ => {
                let certificates =
                    PemCertificates::parse(&content).map_err(|error| fault(error.to_string()))?;
                Ok(Arc::new(Self {
                    content,
                    certificates: Arc::new(certificates),
                }))
            }
        }
    }
}

fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe would block for ever when it is opened.
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut content = Vec::new();
    let read = File::open(path)?
        .take(MAX_TRUST_FILE.saturating_add(1))
        .read_to_end(&mut content)?;
    if read as u64 > MAX_TRUST_FILE {
        return Err(io::Error::other("larger than 8 MiB"));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::variable;

    #[test]
    fn a_variable_is_found_by_its_whole_name() {
        let environment =
            b"PATH=/bin\0NODE_EXTRA_CA_CERTS_OLD=/old\0\xff=1\0NODE_EXTRA_CA_CERTS=/a=b\0";
        for (name, expected) in [
            ("NODE_EXTRA_CA_CERTS", Some("/a=b")),
            ("PATH", Some("/bin")),
            ("NODE_EXTRA", None),
            ("MISSING", None),
        ] {
            assert_eq!(variable(environment, name), expected, "{name}");
        }
    }
}
