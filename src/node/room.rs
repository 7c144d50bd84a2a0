//! What the managers of one JavaScript environment share: the thread-safe function that nudges it.
//!
//! The function is weak, so it holds the event loop only while somebody waits. It is made with the
//! first manager, lives as long as the environment, and holds no manager alive.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use napi::bindgen_prelude::{Function, FunctionRef};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Result, Status, sys};

type ThreadSafe = ThreadsafeFunction<u32, (), u32, Status, false, true>;

/// Tells an environment that a mailbox is not empty. May be used from any thread.
pub(super) struct Nudge(ThreadSafe);

impl Nudge {
    pub(super) fn send(&self, id: u32) {
        // An environment that is closing takes no more; its letters are dropped with their box.
        let _ = self.0.call(id, ThreadsafeFunctionCallMode::NonBlocking);
    }
}

/// The managers of one environment.
#[derive(Default)]
pub(super) struct Room {
    nudge: OnceCell<Arc<Nudge>>,
    listeners: RefCell<HashMap<u32, FunctionRef<u32, ()>>>,
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
        let nudge = Self::make_nudge(env, Rc::downgrade(&room))?;
        drop(room.nudge.set(Arc::new(nudge)));
        env.set_instance_data(Rc::clone(&room), (), |_| {})?;
        Ok(room)
    }

    fn make_nudge(env: &Env, room: Weak<Self>) -> Result<Nudge> {
        let deliver =
            env.create_function_from_closure::<u32, (), _>("deliver", move |context| {
                let id: u32 = context.get(0)?;
                let Some(room) = room.upgrade() else {
                    return Ok(());
                };
                let listener = match room.listeners.borrow().get(&id) {
                    Some(listener) => listener.borrow_back(context.env)?,
                    None => return Ok(()),
                };
                listener.call(id)
            })?;
        let function = deliver
            .build_threadsafe_function::<u32>()
            .callee_handled::<false>()
            .weak::<true>()
            .build()?;
        Ok(Nudge(function))
    }

    /// Takes a manager in: its id, and how it is nudged.
    pub(super) fn enter(&self, listener: &Function<'_, u32, ()>) -> Result<(u32, Arc<Nudge>)> {
        let Some(nudge) = self.nudge.get() else {
            return Err(napi::Error::from_status(Status::Closing));
        };
        let id = self.last_id.get().wrapping_add(1);
        self.last_id.set(id);
        self.listeners
            .borrow_mut()
            .insert(id, listener.create_ref()?);
        Ok((id, Arc::clone(nudge)))
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
            // SAFETY: on the environment's own thread, with a function that the room keeps alive.
            unsafe { sys::napi_ref_threadsafe_function(env.raw(), nudge.0.raw()) };
        }
    }

    /// One less manager is waited for.
    pub(super) fn release(&self, env: &Env) {
        let waiting = self.waiting.get().saturating_sub(1);
        self.waiting.set(waiting);
        if waiting == 0
            && let Some(nudge) = self.nudge.get()
        {
            // SAFETY: as above.
            unsafe { sys::napi_unref_threadsafe_function(env.raw(), nudge.0.raw()) };
        }
    }
}
