//! The native runtime of the process, which the managers of all its threads share.
//!
//! The runtime starts with the first token request and runs until the process ends. One thread runs
//! flights and timers. Look-ups and file reads, which may hang, run on separate threads, as does
//! the parsing of the certificates that Node trusts.

use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Builder;

use manager::clock::SystemClock;
use manager::sync::Handle;
use manager::timers::Timers;
use manager::{Engine, EngineSource};
use transport::MAX_BLOCKING_THREADS;

const IDLE_THREAD_LIFE: Duration = Duration::from_secs(5);

/// Returns the clock of all managers. The managers must share the clock, because timers compare its
/// readings.
pub(super) fn clock() -> Arc<SystemClock> {
    static CLOCK: OnceLock<Arc<SystemClock>> = OnceLock::new();
    Arc::clone(CLOCK.get_or_init(|| Arc::new(SystemClock::new())))
}

/// Returns the source of the runtime. The source starts the runtime on the first call.
pub(super) fn source() -> EngineSource {
    static SOURCE: LazyLock<EngineSource> = LazyLock::new(|| {
        let engine = Mutex::new(None);
        Arc::new(move || {
            let mut engine = engine.lock();
            if engine.is_none() {
                *engine = start();
            }
            engine.clone()
        })
    });
    Arc::clone(&SOURCE)
}

fn start() -> Option<Engine> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(MAX_BLOCKING_THREADS)
        .thread_keep_alive(IDLE_THREAD_LIFE)
        .thread_name("keycloak-io")
        .build()
        .ok()?;
    let timers = Arc::new(Timers::default());
    let engine = Engine {
        handle: Handle::new(runtime.handle()),
        timers: Arc::clone(&timers),
    };
    let clock = clock();
    std::thread::Builder::new()
        .name("keycloak-token".to_owned())
        .spawn(move || runtime.block_on(timers.run(&*clock)))
        .ok()?;
    Some(engine)
}
