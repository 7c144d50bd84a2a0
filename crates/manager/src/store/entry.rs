//! The entries of the shared store: their keys, and their encrypted values.
//!
//! Both need a secret that the store does not have. An entry's key is a keyed hash of the format
//! version and of all settings that decide which token the server grants. The encryption
//! authenticates the key together with the value, so a value is valid only under its own key. The
//! manager treats every other value as a miss.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::error::Unspecified;
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use crate::clock::Moment;
use crate::config::Config;
use crate::slot::Token;
use crate::slot::schedule::{Life, part};
use oauth::{AccessToken, DpopKey, Grant};

/// The version of the format. Managers with different versions do not find each other's entries.
const VERSION: u8 = 1;
const SALT: &[u8] = b"keycloak-token-manager shared store";
/// The longest value that a manager decodes, in bytes: a token response has at most 1 MiB.
const MAX_VALUE: usize = 2 * 1024 * 1024;
/// How much earlier a reader stops using a token than the writer, because their clocks may differ.
const CLOCK_MARGIN: Duration = Duration::from_secs(2);
/// The largest difference between two clocks that are each off by at most the margin.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(4);
/// Encodes an absent time or length.
const ABSENT: u64 = u64::MAX;

/// The keys that a manager derives from its secret.
pub struct StoreKeys {
    names: hmac::Key,
    values: LessSafeKey,
}

/// Hides the keys.
impl fmt::Debug for StoreKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreKeys").finish_non_exhaustive()
    }
}

/// The key of an entry: printable ASCII of fewer than 64 characters, which every store accepts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EntryKey(String);

impl EntryKey {
    /// Returns the key as the store receives it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A token as the store holds it. All times follow the writer's clock and count from the Unix
/// epoch.
#[derive(Debug)]
pub struct StoredToken {
    access_token: AccessToken,
    scope: Option<String>,
    /// When the writer sent the successful request.
    sent: Duration,
    /// The lifetime that the server granted.
    granted: Duration,
    /// When the writer stops using the token.
    end: Duration,
    /// The expiry in the token's own claims.
    expiry: Option<Duration>,
}

impl StoreKeys {
    /// Derives the keys from a secret that all replicas have.
    ///
    /// # Errors
    /// An error is a bug in the cryptography library, because the key lengths are constant.
    pub fn derive(secret: &str) -> Result<Self, Unspecified> {
        let secret = Salt::new(HKDF_SHA256, SALT).extract(secret.as_bytes());
        let names = secret.expand(&[b"names"], hmac::HMAC_SHA256)?.into();
        let values: UnboundKey = secret.expand(&[b"values"], &AES_256_GCM)?.into();
        Ok(Self {
            names,
            values: LessSafeKey::new(values),
        })
    }

    /// Returns the key of the entry for this grant.
    #[must_use]
    pub fn entry_key(&self, config: &Config, grant: &Grant) -> EntryKey {
        let dpop = config.dpop.as_ref();
        let thumbprint = dpop.map_or("", |dpop| dpop.key.thumbprint());
        let head =
            [config.target.option(), config.target.url().as_str(), &grant.client_id, thumbprint];
        let fields: Vec<_> = grant.fields();
        // A header such as `X-Forwarded-Host` may decide which issuer grants the token.
        let headers: Vec<_> = config.headers.iter().collect();
        let mut hash = hmac::Context::with_key(&self.names);
        let mut add = |text: &str| {
            hash.update(&text.len().to_be_bytes());
            hash.update(text.as_bytes());
        };
        for text in head {
            add(text);
        }
        add(&fields.len().to_string());
        for (name, value) in fields {
            add(name);
            add(value);
        }
        for (name, value) in headers {
            add(name);
            add(value.expose());
        }
        named(hash)
    }

    /// Returns a key that has no entry. The manager reads it to find out whether the store answers.
    #[must_use]
    pub fn probe_key(&self) -> EntryKey {
        named(hmac::Context::with_key(&self.names))
    }

    /// Encrypts a token for the entry with this key. Returns `None` if the system provides no
    /// random numbers.
    #[must_use]
    pub fn seal(&self, key: &EntryKey, token: &Token) -> Option<String> {
        let text = token.access_token.expose();
        let scope = token.scope.as_deref();
        let capacity = text.len().saturating_add(scope.map_or(0, str::len));
        // A buffer that grew would leave a copy of the token in freed memory.
        let mut plain = Zeroizing::new(Vec::with_capacity(capacity.saturating_add(64)));
        for time in [
            millis(token.sent.wall()),
            millis(token.life.granted()),
            millis(token.sent.wall().saturating_add(token.life.hard())),
            token.expiry.map_or(ABSENT, millis),
            scope.map_or(ABSENT, |scope| scope.len() as u64),
        ] {
            plain.extend_from_slice(&time.to_be_bytes());
        }
        plain.extend_from_slice(scope.unwrap_or_default().as_bytes());
        plain.extend_from_slice(text.as_bytes());
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut value = vec![VERSION];
        value.extend_from_slice(&nonce);
        let tag = self.values.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(key.0.as_bytes()),
            &mut plain,
        );
        value.extend_from_slice(&plain);
        value.extend_from_slice(tag.ok()?.as_ref());
        Some(URL_SAFE_NO_PAD.encode(value))
    }

    /// Decrypts the value of the entry with this key. Returns `None` unless a manager with the same
    /// secret wrote the value under this key.
    #[must_use]
    pub fn open(&self, key: &EntryKey, value: &str) -> Option<StoredToken> {
        if value.len() > MAX_VALUE {
            return None;
        }
        let value = Zeroizing::new(URL_SAFE_NO_PAD.decode(value).ok()?);
        let sealed = value.strip_prefix(&[VERSION])?;
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let plain = self.values.open_in_place(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(key.0.as_bytes()),
            &mut sealed,
        );
        StoredToken::read(plain.ok()?)
    }
}

impl StoredToken {
    fn read(mut plain: &[u8]) -> Option<Self> {
        let mut number = || {
            let (bytes, rest) = plain.split_first_chunk()?;
            plain = rest;
            Some(u64::from_be_bytes(*bytes))
        };
        let [sent, granted, end, expiry, scope] =
            [number()?, number()?, number()?, number()?, number()?];
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned).ok();
        let scope = if scope == ABSENT {
            None
        } else {
            let (bytes, rest) = plain.split_at_checked(usize::try_from(scope).ok()?)?;
            plain = rest;
            Some(text(bytes)?)
        };
        Some(Self {
            access_token: AccessToken::new(text(plain)?)?,
            scope,
            sent: Duration::from_millis(sent),
            granted: Duration::from_millis(granted),
            end: Duration::from_millis(end),
            expiry: (expiry != ABSENT).then(|| Duration::from_millis(expiry)),
        })
    }

    /// Returns the token for a manager with this expiry buffer and key. Returns `None` if the
    /// writer's clock was far ahead of this manager's clock. The returned token may have expired.
    #[must_use]
    pub fn into_token(
        self,
        now: Moment,
        buffer: Duration,
        dpop_key: Option<Arc<DpopKey>>,
    ) -> Option<Token> {
        if self.sent > now.wall().saturating_add(CLOCK_DIFFERENCE) {
            return None;
        }
        let age = now.wall().saturating_sub(self.sent);
        let sent = Moment::new(now.monotonic().saturating_sub(age), self.sent.min(now.wall()));
        let margin = CLOCK_MARGIN.min(part(self.granted, 4));
        let hard = self.end.saturating_sub(self.sent).saturating_sub(margin);
        // The claims follow the server's clock, so they bound the life even if the writer's clock
        // was wrong.
        let claimed = self.expiry.map_or(Duration::MAX, |expiry| {
            expiry.saturating_sub(margin).saturating_sub(sent.wall())
        });
        let hard = hard.min(claimed);
        let soft = Life::new(self.granted, buffer).soft().min(hard);
        Some(Token {
            access_token: self.access_token,
            dpop_key,
            scope: self.scope.map(Into::into),
            sent,
            expiry: self.expiry,
            life: Life::of(self.granted, hard, soft),
        })
    }
}

fn named(mut hash: hmac::Context) -> EntryKey {
    hash.update(&[VERSION]);
    let hash = URL_SAFE_NO_PAD.encode(hash.sign());
    EntryKey(format!("kctm-{VERSION}-{hash}"))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(ABSENT)
}
