//! The addon's constants, and its functions that concern no manager.

use napi::bindgen_prelude::{Either, Unknown};
use napi::{Env, Result};
use napi_derive::napi;

use super::env_data::EnvData;
use super::external_string;
use super::options::{self, Unreadable};
use super::values::FailureData;
use transport::{MAX_BODY, set_node_roots};

/// The version of the package to which this binary belongs.
#[napi]
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The default `User-Agent` header, which the option `headers` can replace.
#[napi]
pub const USER_AGENT: &str = transport::USER_AGENT;

/// The maximum size of a response body, in bytes.
#[expect(clippy::cast_possible_truncation, reason = "it is 1 MiB")]
#[napi]
pub const MAX_ANSWER: u32 = MAX_BODY as u32;

/// Checks a resource that the user passed to `withResource`. Returns its faults.
#[napi(catch_unwind)]
pub fn check_resource(
    resource: Unknown<'_>,
) -> Result<Option<Either<FailureData, Unreadable<'_>>>> {
    let refusal = options::check_resource(&resource)?;
    Ok(refusal.map(options::Refusal::into_data))
}

/// Receives the certificates that Node trusts, as consecutive PEM blocks. Only the first call in a
/// process has an effect.
#[napi(catch_unwind)]
pub fn trust(pem: String) {
    set_node_roots(&pem);
}

/// Reads the file that `NODE_EXTRA_CA_CERTS` names; `path` is the value of the variable. Only the
/// first path in a process has an effect.
#[napi(catch_unwind)]
pub fn read_extra_ca_certs(path: String) {
    transport::read_extra_ca_certs(path.into());
}

/// Makes the addon copy tokens to JavaScript strings, for a runtime that does not free strings which
/// share their memory.
#[napi(catch_unwind)]
pub fn copy_tokens() {
    external_string::copy_always();
}

/// Keeps the event loop of this environment alive, or stops doing so.
#[napi(catch_unwind)]
pub fn hold(env: &Env, holds: bool) -> Result<()> {
    EnvData::of(env)?.hold(env, holds);
    Ok(())
}
