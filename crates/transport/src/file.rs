//! Reads files whose storage may hang: trusted certificates and credentials.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use zeroize::Zeroizing;

use super::single_flight::{BlockingLimit, MAX_AT_ONCE, SingleFlight};

/// The size limit of a file, in bytes. A system's certificate bundle has about 200 KB.
const MAX_FILE: u64 = 8 * 1024 * 1024;

/// The spare capacity of the buffer, in bytes: a buffer that grew would leave a copy of a secret in
/// freed memory.
const SPARE: u64 = 4096;

pub(super) type Content = Arc<Zeroizing<Vec<u8>>>;

/// The reads in progress, keyed by the path.
type Reads = SingleFlight<PathBuf, Result<Content, FileError>>;

static READS: LazyLock<Reads> = LazyLock::new(SingleFlight::new);
static READ_LIMIT: BlockingLimit = BlockingLimit::new(MAX_AT_ONCE);

/// Why a file is unreadable. In a message, the text follows the name of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// The system reported this error.
    #[error("is unreadable: {0}")]
    Unreadable(String),
    /// The path names a folder, a pipe or a device.
    #[error("is not a regular file")]
    NotRegular,
    /// The file exceeds the caller's limit.
    #[error("is larger than {limit} bytes")]
    TooLarge {
        /// The caller's limit, in bytes.
        limit: u64,
    },
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// Reads a regular file of at most `limit` bytes, and never more than 8 MiB.
///
/// The process reads each path only once at a time, and callers that arrive meanwhile share the
/// result. It reads up to eight paths at once, so a hanging file delays only the callers that need
/// that file, unless eight files hang.
///
/// # Errors
/// The file is missing, unreadable, too large, or not a regular file.
pub async fn read_file(path: PathBuf, limit: u64) -> Result<Content, FileError> {
    let read = READS.run(path.clone(), &READ_LIMIT, move || read_blocking(&path));
    let interrupted = || FileError::Unreadable("the read was interrupted".to_owned());
    limited(read.await.unwrap_or_else(|| Err(interrupted()))?, limit)
}

fn limited(content: Content, limit: u64) -> Result<Content, FileError> {
    if content.len() as u64 > limit {
        return Err(FileError::TooLarge { limit });
    }
    Ok(content)
}

/// Reads a regular file of at most 8 MiB on the current thread.
pub(super) fn read_blocking(path: &Path) -> Result<Content, FileError> {
    // The type check comes first, because opening a pipe would block forever.
    let metadata = path.metadata()?;
    if !metadata.is_file() {
        return Err(FileError::NotRegular);
    }
    let too_large = FileError::TooLarge { limit: MAX_FILE };
    if metadata.len() > MAX_FILE {
        return Err(too_large);
    }
    let capacity = metadata.len().saturating_add(SPARE);
    let mut content =
        Zeroizing::new(Vec::with_capacity(usize::try_from(capacity).unwrap_or_default()));
    let read = File::open(path)?
        .take(MAX_FILE.saturating_add(1))
        .read_to_end(&mut content)?;
    if read as u64 > MAX_FILE {
        return Err(too_large);
    }
    Ok(Arc::new(content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_regular_file_up_to_the_limit_is_read() {
        let folder = std::env::temp_dir().join(format!("read-file-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("file");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read_file(path.clone(), 5).await.unwrap().as_slice(), b"12345");
        let too_large = read_file(path.clone(), 4).await.unwrap_err();
        assert_eq!(too_large, FileError::TooLarge { limit: 4 });
        let sparse = File::create(&path).unwrap();
        sparse.set_len(MAX_FILE + 1).unwrap();
        let too_large = read_file(path, u64::MAX).await.unwrap_err();
        assert_eq!(too_large, FileError::TooLarge { limit: MAX_FILE });
        assert_eq!(read_file(folder.clone(), 5).await.unwrap_err(), FileError::NotRegular);
        let missing = read_file(folder.join("missing"), 5).await.unwrap_err();
        assert!(
            missing
                .to_string()
                .starts_with("is unreadable: No such file"),
            "{missing}"
        );
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
