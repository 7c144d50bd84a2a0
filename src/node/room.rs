//! What the managers of one JavaScript environment share: the thread-safe function that nudges it.
//!
//! The function is weak, so it holds the event loop only while somebody waits. It is made with the
//! first manager, lives as long as the environment, and holds no manager alive.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use napi::bindgen_prelude::{Function, FunctionRef, JsObjectValue, Object};
use napi::{Env, Result, Status};

use super::nudge::Nudge;

type Listener = FunctionRef<u32, ()>;

/// The managers of one environment.
#[derive(Default)]
pub(super) struct Room {
    nudge: OnceCell<Arc<Nudge>>,
    listeners: RefCell<HashMap<u32, Rc<Listener>>>,
    /// The last one that came. Most are one function, which is referred to once.
    last_listener: RefCell<Weak<Listener>>,
    last_id: Cell<u32>,
    waiting: Cell<u32>,
}

impl Room {
    /// The room of this environment.
    pub(super) fn of(env: &Env) -> Result<Rc<Self>> {
        if let Some(room) = env.get_instance_data::<Rc<Self>>()? {
            return Ok(Rc::clone(room));
        }
        let room = Rc::new(Self::default());
        let nudge = Nudge::new(env, &room.deliver(env)?, &room.resource(env)?)?;
        drop(room.nudge.set(nudge));
        env.set_instance_data(Rc::clone(&room), (), |_| {})?;
        Ok(room)
    }

    /// Passes a nudge on to the manager that it is for.
    fn deliver<'env>(self: &Rc<Self>, env: &'env Env) -> Result<Function<'env, u32, ()>> {
        let room = Rc::downgrade(self);
        env.create_function_from_closure("deliver", move |context| {
            let id: u32 = context.get(0)?;
            let Some(room) = room.upgrade() else {
                return Ok(());
            };
            let listener = match room.listeners.borrow().get(&id) {
                Some(listener) => listener.borrow_back(context.env)?,
                None => return Ok(()),
            };
            listener.call(id)
        })
    }

    /// Says whether the event loop is held, to whoever looks for open handles.
    fn resource<'env>(self: &Rc<Self>, env: &'env Env) -> Result<Object<'env>> {
        let room = Rc::downgrade(self);
        let has_ref = env.create_function_from_closure::<(), bool, _>("hasRef", move |_| {
            Ok(room.upgrade().is_some_and(|room| room.waiting.get() > 0))
        })?;
        let mut resource = Object::new(env)?;
        resource.set_named_property("hasRef", has_ref)?;
        Ok(resource)
    }

    /// Takes a manager in: its id, and how it is nudged.
    pub(super) fn enter(
        &self,
        env: &Env,
        listener: Function<'_, u32, ()>,
    ) -> Result<(u32, Arc<Nudge>)> {
        let Some(nudge) = self.nudge.get() else {
            return Err(napi::Error::from_status(Status::Closing));
        };
        let id = self.last_id.get().wrapping_add(1);
        self.last_id.set(id);
        let listener = self.referred(env, listener)?;
        self.listeners.borrow_mut().insert(id, listener);
        Ok((id, Arc::clone(nudge)))
    }

    fn referred(&self, env: &Env, listener: Function<'_, u32, ()>) -> Result<Rc<Listener>> {
        if let Some(last) = self.last_listener.borrow().upgrade()
            && env.strict_equals(last.borrow_back(env)?, listener)?
        {
            return Ok(last);
        }
        let referred = Rc::new(listener.create_ref()?);
        *self.last_listener.borrow_mut() = Rc::downgrade(&referred);
        Ok(referred)
    }

    /// Lets a manager go.
    pub(super) fn leave(&self, id: u32) {
        let listener = self.listeners.borrow_mut().remove(&id);
        drop(listener);
    }

    /// One more manager is waited for: the event loop is held.
    pub(super) fn hold(&self, env: &Env) {
        let waiting = self.waiting.get();
        self.waiting.set(waiting.saturating_add(1));
        if waiting == 0
            && let Some(nudge) = self.nudge.get()
        {
            nudge.hold(env, true);
        }
    }

    /// One less manager is waited for.
    pub(super) fn release(&self, env: &Env) {
        let waiting = self.waiting.get().saturating_sub(1);
        self.waiting.set(waiting);
        if waiting == 0
            && let Some(nudge) = self.nudge.get()
        {
            nudge.hold(env, false);
        }
    }
}
