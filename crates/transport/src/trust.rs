//! The certificates that TLS accepts: the certificates that Node trusts, and the certificates that
//! the user configures.
//!
//! JavaScript hands over Node's certificates as PEM, once per process. Collecting them takes
//! milliseconds, so the transport first verifies a server against `ca`, `caFile` and
//! `NODE_EXTRA_CA_CERTS`. It never uses the trust store of the operating system, so it works in an
//! image without certificate files.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use parking_lot::Mutex;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use tokio::sync::Notify;
use zeroize::Zeroizing;

use oauth::{PemFlaw, certificates};

use super::{
    TransportError,
    chain::Roots,
    fault::clean,
    file::{Content, FileError, read_blocking, read_file},
};

/// The size limit of a certificate file, in bytes. A system's certificate bundle has about 200 KB.
const MAX_TRUST_FILE: u64 = 8 * 1024 * 1024;

static NODE_ROOTS: OnceLock<NodeRoots> = OnceLock::new();

static NODE_ROOTS_ARRIVED: Notify = Notify::const_new();

/// Hands over the certificates that Node trusts, as consecutive PEM blocks.
///
/// Only the first call in a process has an effect. The transport skips a block that cannot serve as
/// a root, because the user cannot change Node's bundle.
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

/// The file that `NODE_EXTRA_CA_CERTS` names.
static EXTRA_CA_CERTS: OnceLock<ExtraCaCerts> = OnceLock::new();

struct ExtraCaCerts {
    path: PathBuf,
    content: Result<Content, FileError>,
    parsed: OnceLock<Option<Arc<PemCertificates>>>,
}

/// Reads the file that `NODE_EXTRA_CA_CERTS` names, as Node does when the process starts: later,
/// the process may have another user or another working directory. This function blocks, and does
/// not parse the file.
///
/// `path` is the value of the variable. This function uses it only if the system does not show the
/// environment with which the process started. Only the first path in a process has an effect. This
/// function ignores an empty path, because a worker may have its own environment.
pub fn read_extra_ca_certs(path: PathBuf) {
    if let Some(path) = extra_ca_certs(path) {
        EXTRA_CA_CERTS.get_or_init(|| ExtraCaCerts {
            content: read_blocking(&path),
            path,
            parsed: OnceLock::new(),
        });
    }
}

/// Returns the certificates of `NODE_EXTRA_CA_CERTS`, or `None` if there are none.
pub(super) fn environment_roots() -> Option<&'static Arc<PemCertificates>> {
    let extra = EXTRA_CA_CERTS.get()?;
    let parse = || usable_roots(extra.content.as_ref().ok()?);
    extra.parsed.get_or_init(parse).as_ref()
}

/// Returns the fault of the file that `NODE_EXTRA_CA_CERTS` names, for messages.
pub(super) fn environment_fault() -> Option<String> {
    let extra = EXTRA_CA_CERTS.get()?;
    let fault = match &extra.content {
        Err(error) => error.to_string(),
        Ok(_) if environment_roots().is_none() => "contains no usable certificate".to_owned(),
        Ok(_) => return None,
    };
    let path = extra.path.display().to_string();
    Some(clean(&format!("the file \"{path}\" in NODE_EXTRA_CA_CERTS {fault}")))
}

/// Returns the value of the variable at the start of the process, when Node also reads it. Linux
/// shows the environment of that time, unless the process has changed its user since.
fn extra_ca_certs(path: PathBuf) -> Option<PathBuf> {
    let path = match std::fs::read("/proc/self/environ") {
        Ok(environment) => variable(&environment, "NODE_EXTRA_CA_CERTS").map(PathBuf::from),
        Err(_) => Some(path),
    };
    path.filter(|path| !path.as_os_str().is_empty())
}

fn usable_roots(content: &[u8]) -> Option<Arc<PemCertificates>> {
    let content = String::from_utf8_lossy(content);
    // Like Node, this function accepts a byte order mark and the old label of certificates, but no
    // indentation.
    let content = content.trim_start_matches('\u{feff}');
    let content = content.replace("X509 CERTIFICATE-----", "CERTIFICATE-----");
    // Node stops at the first block that it cannot read.
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(content.as_bytes())
        .map_while(Result::ok)
        .take_while(|certificate| Roots::empty().add(certificate).is_ok())
        .collect();
    (!certificates.is_empty()).then(|| Arc::new(PemCertificates { certificates }))
}

/// Finds a variable in an environment as the system shows it: `NAME=value` entries, each terminated
/// by NUL.
fn variable<'a>(environment: &'a [u8], name: &str) -> Option<&'a str> {
    let mut entries = environment
        .split(|byte| *byte == 0)
        .map(std::str::from_utf8);
    entries.find_map(|entry| entry.ok()?.strip_prefix(name)?.strip_prefix('='))
}

/// Whether JavaScript has called [`set_node_roots`] in this process.
#[must_use]
pub fn node_roots_are_set() -> bool {
    NODE_ROOTS.get().is_some()
}

struct NodeRoots {
    /// The text that JavaScript handed over. Parsing empties it.
    pem: Mutex<String>,
    parsed: OnceLock<Arc<Roots>>,
}

impl NodeRoots {
    fn parsed(&self) -> Arc<Roots> {
        let parse = || {
            let pem = std::mem::take(&mut *self.pem.lock());
            let mut roots = Roots::empty();
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()).flatten() {
                let _ = roots.add(&certificate);
            }
            Arc::new(roots)
        };
        Arc::clone(self.parsed.get_or_init(parse))
    }
}

/// The trust options of a manager.
#[derive(Clone, Debug, Default)]
pub struct TrustSettings {
    /// The certificates to trust in addition to Node's.
    pub extra: Option<Arc<PemCertificates>>,
    /// A PEM file with further certificates. The transport reads it for every request, so a
    /// replaced file takes effect immediately.
    pub file: Option<PathBuf>,
    /// Whether to accept any certificate and to ignore the other two fields.
    pub skip_verify: bool,
}

/// At least one certificate. Each certificate is usable as a trust anchor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PemCertificates {
    certificates: Vec<CertificateDer<'static>>,
}

impl PemCertificates {
    /// Reads PEM certificates. Skips blocks that are not certificates.
    ///
    /// # Errors
    ///
    /// The PEM is malformed, contains no certificate, or contains a certificate that cannot be a
    /// trust anchor.
    pub fn parse(pem: &[u8]) -> Result<Self, PemFault> {
        let text = String::from_utf8_lossy(pem);
        let flaw = || PemFlaw::of(&text);
        let certificates = certificates(&text).map_err(|readable| {
            let number = readable.saturating_add(1);
            flaw().map_or(PemFault::NotPem { number }, PemFault::Mangled)
        })?;
        for (number, certificate) in (1..).zip(&certificates) {
            Roots::empty()
                .add(certificate)
                .map_err(|_| PemFault::NotACertificate { number })?;
        }
        if certificates.is_empty() {
            return Err(flaw().map_or(PemFault::Empty, PemFault::Mangled));
        }
        Ok(Self { certificates })
    }
}

/// Why a text is not a list of certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PemFault {
    /// The text contains no certificate.
    #[error("it contains no PEM certificate")]
    Empty,
    /// The PEM text has lost its line breaks, or is in quotation marks.
    #[error("{0}")]
    Mangled(PemFlaw),
    /// A block is cut off, or its content is not Base64.
    #[error("certificate {number} is not valid PEM")]
    NotPem {
        /// The number of the certificate, counted from 1.
        number: usize,
    },
    /// The content of a block is not a certificate.
    #[error("certificate {number} is not a valid X.509 certificate")]
    NotACertificate {
        /// The number of the certificate, counted from 1.
        number: usize,
    },
}

/// The settings, with the content of the files that they name. Two managers may share connections
/// if these values are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Trust {
    /// Accepts no certificate, because the connection uses no TLS.
    Nobody,
    /// Accepts any certificate.
    Everybody,
    /// Accepts certificates from the authorities of Node, `NODE_EXTRA_CA_CERTS` and the options.
    Roots {
        /// Whether Node's certificates are available. They do not change afterwards.
        node: bool,
        extra: Option<Arc<PemCertificates>>,
        file: Option<Arc<PemCertificates>>,
    },
}

impl Trust {
    /// Whether parsing the certificates takes milliseconds.
    pub(super) fn is_costly(&self) -> bool {
        matches!(self, Self::Roots { node: true, .. })
    }

    /// Whether the certificates that Node trusts could still change the result.
    pub(super) fn lacks_node_roots(&self) -> bool {
        matches!(self, Self::Roots { node: false, .. })
    }

    /// Returns the authorities, or `None` to accept any certificate.
    pub(super) fn roots(&self) -> Result<Option<Arc<Roots>>, TransportError> {
        let (has_node, extra, file) = match self {
            Self::Nobody => return Ok(Some(Arc::new(Roots::empty()))),
            Self::Everybody => return Ok(None),
            Self::Roots { node, extra, file } => (*node, extra, file),
        };
        let mut roots = NODE_ROOTS
            .get()
            .filter(|_| has_node)
            .map_or_else(|| Arc::new(Roots::empty()), NodeRoots::parsed);
        let named = [environment_roots(), extra.as_ref(), file.as_ref()];
        for pem in named.into_iter().flatten() {
            let roots = Arc::make_mut(&mut roots);
            for certificate in &pem.certificates {
                let added = roots.add(certificate);
                added.map_err(|_| TransportError::Internal)?;
            }
        }
        Ok(Some(roots))
    }
}

/// The content of a certificate file, as the transport last read it.
#[derive(Debug)]
pub(super) struct TrustFile {
    content: Arc<Zeroizing<Vec<u8>>>,
    pub(super) certificates: Arc<PemCertificates>,
}

impl TrustFile {
    /// Reads the file. Parses the content if it has changed.
    pub(super) async fn load(
        path: PathBuf,
        last: Option<Arc<Self>>,
    ) -> Result<Arc<Self>, TransportError> {
        let fault = |detail: String| TransportError::TrustFile {
            path: clean(&path.display().to_string()),
            detail: clean(&detail),
        };
        let content = read_file(path.clone(), MAX_TRUST_FILE).await;
        let content = content.map_err(|error| fault(error.to_string()))?;
        match last {
            Some(last) if last.content == content => Ok(last),
            _ => {
                let certificates = PemCertificates::parse(&content);
                let certificates =
                    certificates.map_err(|error| fault(format!("is not usable: {error}")))?;
                Ok(Arc::new(Self {
                    content,
                    certificates: Arc::new(certificates),
                }))
            }
        }
    }
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
