//! The thread-safe function of one environment, by which other threads call into JavaScript.
//!
//! It is made by hand because of its async resource: test runners that look for open handles ask
//! that object whether it holds the event loop, and the binding library gives none.

use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

use napi::bindgen_prelude::{Function, Object};
use napi::threadsafe_function::ThreadsafeFunctionHandle;
use napi::{Env, JsValue, Result, Status, sys};
use parking_lot::Mutex;

/// Tells an environment that a mailbox is not empty. May be used from any thread.
pub(super) struct Nudge {
    /// Gone once the environment has closed.
    function: Mutex<Option<Raw>>,
}

#[derive(Clone, Copy)]
struct Raw(sys::napi_threadsafe_function);

// SAFETY: being used from any thread is what a thread-safe function is for; that it is not used
// after its end is what the lock around it is for.
unsafe impl Send for Raw {}

impl Nudge {
    /// Calls `deliver` with an id for every nudge. Does not hold the event loop at first.
    pub(super) fn new(
        env: &Env,
        deliver: &Function<'_, u32, ()>,
        resource: &Object<'_>,
    ) -> Result<Arc<Self>> {
        // Keeps the addon's code in memory: threads of ours outlive the environment.
        drop(ThreadsafeFunctionHandle::null());
        let name = env.create_string("keycloak-token-manager")?;
        let nudge = Arc::new(Self {
            function: Mutex::new(None),
        });
        let owned = Arc::into_raw(Arc::clone(&nudge))
            .cast_mut()
            .cast::<c_void>();
        let mut raw = ptr::null_mut();
        // SAFETY: all values belong to this environment and are alive; `ended` takes back the count
        // that `owned` is.
        let status = unsafe {
            sys::napi_create_threadsafe_function(
                env.raw(),
                deliver.raw(),
                resource.raw(),
                name.raw(),
                0,
                1,
                owned,
                Some(ended),
                ptr::null_mut(),
                Some(call),
                &raw mut raw,
            )
        };
        if status != sys::Status::napi_ok {
            // SAFETY: nobody else took the count that was meant for `ended`.
            drop(unsafe { Arc::from_raw(owned.cast_const().cast::<Self>()) });
            return Err(napi::Error::from_status(Status::from(status)));
        }
        *nudge.function.lock() = Some(Raw(raw));
        nudge.hold(env, false);
        Ok(nudge)
    }

    /// Nudges. An environment that is closing takes no more; its letters are dropped with their box.
    pub(super) fn send(&self, id: u32) {
        let mut function = self.function.lock();
        if let Some(Raw(raw)) = *function {
            let data = ptr::without_provenance_mut(id as usize);
            let mode = sys::ThreadsafeFunctionCallMode::nonblocking;
            // SAFETY: it has not ended, or `function` would be empty.
            let status = unsafe { sys::napi_call_threadsafe_function(raw, data, mode) };
            if status == sys::Status::napi_closing {
                *function = None;
            }
        }
    }

    /// Holds the event loop, or lets it go. Called on the environment's own thread.
    pub(super) fn hold(&self, env: &Env, holds: bool) {
        if let Some(Raw(raw)) = *self.function.lock() {
            // SAFETY: on the environment's own thread, with a function that has not ended.
            unsafe {
                if holds {
                    sys::napi_ref_threadsafe_function(env.raw(), raw);
                } else {
                    sys::napi_unref_threadsafe_function(env.raw(), raw);
                }
            }
        }
    }
}

/// Runs on the environment's thread for every nudge. What JavaScript throws stays pending and is an
/// uncaught exception there.
unsafe extern "C" fn call(
    env: sys::napi_env,
    deliver: sys::napi_value,
    _context: *mut c_void,
    data: *mut c_void,
) {
    // Both are missing when what was still queued is thrown away.
    if env.is_null() || deliver.is_null() {
        return;
    }
    let id = u32::try_from(data.addr()).unwrap_or_default();
    let (mut this, mut argument) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: Node calls this with an environment that is open and a scope for handles.
    unsafe {
        if sys::napi_get_undefined(env, &raw mut this) == sys::Status::napi_ok
            && sys::napi_create_uint32(env, id, &raw mut argument) == sys::Status::napi_ok
        {
            sys::napi_call_function(env, this, deliver, 1, &raw const argument, ptr::null_mut());
        }
    }
}

/// Runs on the environment's thread when the function has ended.
unsafe extern "C" fn ended(_env: sys::napi_env, owned: *mut c_void, _hint: *mut c_void) {
    // SAFETY: the count that `new` gave away, taken back once.
    let nudge = unsafe { Arc::from_raw(owned.cast_const().cast::<Nudge>()) };
    *nudge.function.lock() = None;
}
