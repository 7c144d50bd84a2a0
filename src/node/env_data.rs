//! The instance data of one JavaScript environment: its waker, and the managers that it wakes.
//!
//! The waker is unreferenced, so it keeps the event loop alive only while a caller waits. The first
//! manager creates it. It lives as long as the environment and keeps no manager alive.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use napi::bindgen_prelude::{Function, FunctionRef, JsObjectValue, Object};
use napi::{Env, Result, Status};

use super::loop_waker::LoopWaker;

/// The managers of one environment.
#[derive(Default)]
pub(super) struct EnvData {
    waker: OnceCell<Arc<LoopWaker>>,
    /// The listeners to call when managers have events, keyed by manager id.
    listeners: RefCell<HashMap<u32, FunctionRef<(), ()>>>,
    last_id: Cell<u32>,
    /// The number of loaded copies of the JavaScript files that keep the event loop alive.
    holds: Cell<u32>,
}

impl EnvData {
    /// Returns the data of this environment.
    pub(super) fn of(env: &Env) -> Result<Rc<Self>> {
        if let Some(data) = env.get_instance_data::<Rc<Self>>()? {
            return Ok(Rc::clone(data));
        }
        let data = Rc::new(Self::default());
        let waker = LoopWaker::new(env, &data.deliver(env)?, &data.resource(env)?)?;
        drop(data.waker.set(waker));
        env.set_instance_data(Rc::clone(&data), (), |_| {})?;
        Ok(data)
    }

    /// Creates the function that passes a wake-up to its manager.
    fn deliver<'env>(self: &Rc<Self>, env: &'env Env) -> Result<Function<'env, u32, ()>> {
        let data = Rc::downgrade(self);
        env.create_function_from_closure("deliver", move |context| {
            let id: u32 = context.get(0)?;
            let Some(data) = data.upgrade() else {
                return Ok(());
            };
            let listener = match data.listeners.borrow().get(&id) {
                Some(listener) => listener.borrow_back(context.env)?,
                None => return Ok(()),
            };
            listener.call(())
        })
    }

    /// Creates the async resource of the waker. Its `hasRef` tells tools that look for open handles
    /// whether the waker keeps the event loop alive.
    fn resource<'env>(self: &Rc<Self>, env: &'env Env) -> Result<Object<'env>> {
        let data = Rc::downgrade(self);
        let has_ref = env.create_function_from_closure::<(), bool, _>("hasRef", move |_| {
            Ok(data.upgrade().is_some_and(|data| data.holds.get() > 0))
        })?;
        let mut resource = Object::new(env)?;
        resource.set_named_property("hasRef", has_ref)?;
        Ok(resource)
    }

    /// Registers a manager. Returns its id and its waker.
    pub(super) fn add(&self, listener: &Function<'_, (), ()>) -> Result<(u32, Arc<LoopWaker>)> {
        let Some(waker) = self.waker.get() else {
            return Err(napi::Error::from_status(Status::Closing));
        };
        let id = self.last_id.get().wrapping_add(1);
        self.last_id.set(id);
        self.listeners
            .borrow_mut()
            .insert(id, listener.create_ref()?);
        Ok((id, Arc::clone(waker)))
    }

    pub(super) fn remove(&self, id: u32) {
        let listener = self.listeners.borrow_mut().remove(&id);
        drop(listener);
    }

    /// Keeps the event loop alive, or stops doing so.
    pub(super) fn hold(&self, env: &Env, holds: bool) {
        let before = self.holds.get();
        let after = if holds {
            before.saturating_add(1)
        } else {
            before.saturating_sub(1)
        };
        self.holds.set(after);
        if let Some(waker) = self.waker.get()
            && (before == 0) != (after == 0)
        {
            waker.hold(env, after > 0);
        }
    }
}
