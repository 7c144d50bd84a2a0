//! The instance data of one JavaScript environment: its waker, and the managers that it wakes.
//!
//! The waker is weak, so it holds the event loop only while a caller waits. It is made with the
//! first manager, lives as long as the environment, and keeps no manager alive.

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
    /// What to call when the manager with this id has events.
    listeners: RefCell<HashMap<u32, FunctionRef<(), ()>>>,
    last_id: Cell<u32>,
    /// How often the event loop is held. Each copy of the JavaScript files holds it once at most.
    holds: Cell<u32>,
}

impl EnvData {
    /// The data of this environment.
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

    /// Passes a wake-up on to the manager that it is for.
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

    /// Tells tools that look for open handles whether the event loop is held.
    fn resource<'env>(self: &Rc<Self>, env: &'env Env) -> Result<Object<'env>> {
        let data = Rc::downgrade(self);
        let has_ref = env.create_function_from_closure::<(), bool, _>("hasRef", move |_| {
            Ok(data.upgrade().is_some_and(|data| data.holds.get() > 0))
        })?;
        let mut resource = Object::new(env)?;
        resource.set_named_property("hasRef", has_ref)?;
        Ok(resource)
    }

    /// Registers a manager. Returns its id and what wakes it.
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

    /// Removes a manager.
    pub(super) fn remove(&self, id: u32) {
        let listener = self.listeners.borrow_mut().remove(&id);
        drop(listener);
    }

    /// Holds the event loop, or lets it go.
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
