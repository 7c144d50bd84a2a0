//! The thread-safe function of one environment, through which other threads call into JavaScript.
//!
//! This module uses N-API directly, because the thread-safe function of the binding library has no
//! async resource with `hasRef`. Jest's `--detectOpenHandles` asks the resource whether it keeps
//! the event loop alive, and reports every resource without `hasRef`.

use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

use napi::bindgen_prelude::{Function, Object};
use napi::threadsafe_function::ThreadsafeFunctionHandle;
use napi::{Env, JsValue, Result, Status, sys};
use parking_lot::Mutex;

/// Wakes the event loop of one environment. Any thread may use it.
pub(super) struct LoopWaker {
    /// `None` once the environment has closed.
    function: Mutex<Option<Raw>>,
}

#[derive(Clone, Copy)]
struct Raw(sys::napi_threadsafe_function);

// SAFETY: any thread may use a thread-safe function until its finalisation, and the lock around it
// prevents any later use.
unsafe impl Send for Raw {}

impl LoopWaker {
    /// Creates a waker that calls `deliver` with the id of the manager to wake. At first, the waker
    /// does not keep the event loop alive.
    pub(super) fn new(
        env: &Env,
        deliver: &Function<'_, u32, ()>,
        resource: &Object<'_>,
    ) -> Result<Arc<Self>> {
        // This keeps the addon's code in memory, because the addon's threads outlive the
        // environment.
        drop(ThreadsafeFunctionHandle::null());
        let name = env.create_string("keycloak-token-manager")?;
        let waker = Arc::new(Self {
            function: Mutex::new(None),
        });
        let owned = Arc::into_raw(Arc::clone(&waker))
            .cast_mut()
            .cast::<c_void>();
        let mut raw = ptr::null_mut();
        // SAFETY: all values belong to this environment and are alive; `ended` drops the reference
        // that `owned` holds.
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
            // SAFETY: the call failed, so `ended` will not drop the reference.
            drop(unsafe { Arc::from_raw(owned.cast_const().cast::<Self>()) });
            return Err(napi::Error::from_status(Status::from(status)));
        }
        *waker.function.lock() = Some(Raw(raw));
        waker.hold(env, false);
        Ok(waker)
    }

    /// Wakes a manager. Has no effect in a closing environment, where the manager's queue drops its
    /// events.
    pub(super) fn wake(&self, id: u32) {
        let mut function = self.function.lock();
        if let Some(Raw(raw)) = *function {
            let data = ptr::without_provenance_mut(id as usize);
            let mode = sys::ThreadsafeFunctionCallMode::nonblocking;
            // SAFETY: the function has not ended, otherwise `function` would be `None`.
            let status = unsafe { sys::napi_call_threadsafe_function(raw, data, mode) };
            if status == sys::Status::napi_closing {
                *function = None;
            }
        }
    }

    /// Keeps the event loop alive, or stops doing so. Only the environment's own thread calls this
    /// function.
    pub(super) fn hold(&self, env: &Env, holds: bool) {
        if let Some(Raw(raw)) = *self.function.lock() {
            // SAFETY: this is the environment's own thread, and the function has not ended.
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

/// Runs on the environment's thread for every wake-up. A JavaScript exception stays pending and
/// becomes an uncaught exception there.
unsafe extern "C" fn call(
    env: sys::napi_env,
    deliver: sys::napi_value,
    _context: *mut c_void,
    data: *mut c_void,
) {
    // Both arguments are null when Node discards queued calls.
    if env.is_null() || deliver.is_null() {
        return;
    }
    let id = u32::try_from(data.addr()).unwrap_or_default();
    let (mut this, mut argument) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: Node calls this function with an open environment and a handle scope.
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
    // SAFETY: this drops the reference that `new` handed over, exactly once.
    let waker = unsafe { Arc::from_raw(owned.cast_const().cast::<LoopWaker>()) };
    *waker.function.lock() = None;
}
