//! Reads files whose storage may hang: certificates to trust, and credentials.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use zeroize::Zeroizing;

use super::single_flight::{BlockingLimit, MAX_AT_ONCE, SingleFlight};

/// The largest file that is read, in bytes. System bundles of certificates have some 200 KB.
const MAX_FILE: u64 = 8 * 1024 * 1024;

/// A larger buffer than the file seems to need: growing would leave a copy of a secret behind.
const SPARE: u64 = 4096;

type Content = Arc<Zeroizing<Vec<u8>>>;

/// By path, and whether the read has a limit of its own.
type Reads = SingleFlight<(PathBuf, bool), Result<Content, FileError>>;

static READS: LazyLock<Reads> = LazyLock::new(SingleFlight::new);
static READ_LIMIT: BlockingLimit = BlockingLimit::new(MAX_AT_ONCE);
#[cfg(feature = "http")]
static RESERVED_LIMIT: BlockingLimit = BlockingLimit::new(1);

/// Why a file cannot be read. Follows the name of the file in a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// What the system says.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// A folder, a pipe or a device.
    #[error("is not a regular file")]
    NotRegular,
    /// More than the caller wants.
    #[error("is larger than {limit} bytes")]
    TooLarge {
        /// What the caller wants at most.
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
/// One read per path runs at a time, and callers that arrive meanwhile share it. Eight paths are read
/// at once in a process, so a file that hangs delays only the callers that need it until eight hang.
///
/// # Errors
/// The file is missing, unreadable, too large, or not a regular file.
pub async fn read_file(path: PathBuf, limit: u64) -> Result<Content, FileError> {
    limited(read(path, false, &READ_LIMIT).await?, limit)
}

/// The same beside the limit for all other files, for the one file that every https request needs.
#[cfg(feature = "http")]
pub(super) async fn read_reserved_file(path: PathBuf) -> Result<Content, FileError> {
    read(path, true, &RESERVED_LIMIT).await
}

async fn read(
    path: PathBuf,
    is_reserved: bool,
    limit: &'static BlockingLimit,
) -> Result<Content, FileError> {
    let key = (path.clone(), is_reserved);
    let read = READS.run(key, limit, move || read_blocking(&path)).await;
    read.unwrap_or_else(|| Err(FileError::Unreadable("the read was interrupted".to_owned())))
}

fn limited(content: Content, limit: u64) -> Result<Content, FileError> {
    if content.len() as u64 > limit {
        return Err(FileError::TooLarge { limit });
    }
    Ok(content)
}

fn read_blocking(path: &Path) -> Result<Content, FileError> {
    // Opening a pipe would block for ever.
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
#[expect(clippy::unwrap_used, reason = "tests")]
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
                .starts_with("cannot be read: No such file"),
            "{missing}"
        );
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
