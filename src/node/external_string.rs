//! JavaScript strings whose characters stay in native memory, so that a manager and JavaScript do
//! not each hold a copy of the same token.
//!
//! The function that creates these strings has been stable since Node-API version 10, but Node 20.9
//! already exports it. The addon therefore looks it up at run time, and copies the characters if
//! the runtime does not have it.

use std::ffi::{c_char, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

#[cfg(unix)]
use libloading::os::unix::Library;
#[cfg(windows)]
use libloading::os::windows::Library;
use napi::{Result, Status, bindgen_prelude::ToNapiValue, sys};

/// `node_api_create_external_string_latin1`.
type CreateExternalString = unsafe extern "C" fn(
    env: sys::napi_env,
    text: *const c_char,
    length: usize,
    finalize: sys::napi_finalize,
    hint: *mut c_void,
    result: *mut sys::napi_value,
    copied: *mut bool,
) -> sys::napi_status;

static CREATE: LazyLock<Option<CreateExternalString>> = LazyLock::new(|| {
    #[cfg(unix)]
    let host = Library::this();
    #[cfg(windows)]
    let host = Library::this().ok()?;
    // SAFETY: the type matches the function's declaration in `js_native_api.h`, and the program
    // that contains the function stays loaded.
    let found = unsafe { host.get(b"node_api_create_external_string_latin1\0") };
    found.ok().map(|function| *function)
});

/// Whether the addon copies all tokens, although the runtime can share memory.
static COPIES: AtomicBool = AtomicBool::new(false);

/// Copies the characters of all later strings.
pub(super) fn copy_always() {
    COPIES.store(true, Ordering::Relaxed);
}

/// Returns a JavaScript string with the characters of `text`, which is ASCII and part of `owner`.
/// The string keeps `owner` alive.
///
/// # Safety
///
/// The environment must be valid.
pub(super) unsafe fn string_of<T>(
    env: sys::napi_env,
    owner: &Arc<T>,
    text: fn(&T) -> &str,
) -> Result<sys::napi_value> {
    let characters = text(owner);
    let is_shareable = characters.is_ascii() && !COPIES.load(Ordering::Relaxed);
    let external = CREATE.filter(|_| is_shareable).and_then(|create| {
        let hint = Arc::into_raw(Arc::clone(owner));
        let mut result = ptr::null_mut();
        let mut was_copied = false;
        // SAFETY: the caller guarantees that the environment is valid. The characters are Latin-1,
        // and stay in place until `release` drops the reference that `hint` holds.
        let status = unsafe {
            create(
                env,
                characters.as_ptr().cast(),
                characters.len(),
                Some(release::<T>),
                hint.cast_mut().cast(),
                &raw mut result,
                &raw mut was_copied,
            )
        };
        if status == Status::Ok as i32 {
            return Some(result);
        }
        // SAFETY: the runtime calls `release` only if it created a string.
        drop(unsafe { Arc::from_raw(hint) });
        None
    });
    match external {
        Some(string) => Ok(string),
        // SAFETY: the caller guarantees that the environment is valid.
        None => unsafe { <&str as ToNapiValue>::to_napi_value(env, characters) },
    }
}

/// Drops the reference held by a string that the runtime has collected. The runtime may call this
/// function after the environment has ended.
unsafe extern "C" fn release<T>(_env: sys::napi_env, _text: *mut c_void, hint: *mut c_void) {
    // SAFETY: `hint` comes from `Arc::into_raw`, and the runtime calls this function once.
    drop(unsafe { Arc::from_raw(hint.cast_const().cast::<T>()) });
}
