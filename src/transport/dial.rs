//! Tells whether a request went over a connection dialled for it, or over one used before.
//!
//! The HTTP library does not say. It calls the connector inside the task of the request that wants
//! a connection, so a layer around the connector can leave a mark there. If meanwhile a connection
//! of the pool becomes free, the library takes that one and finishes the dial in a task of its
//! own, for the pool: the dial notices that it is polled elsewhere and says so.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use parking_lot::Mutex;
use tower_layer::Layer;
use tower_service::Service;

tokio::task_local! {
    static CURRENT: Arc<Dial>;
}

/// What is known of the connection of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// No connection was dialled: the request is on one of the pool.
    NotDialled,
    /// A connection is being dialled.
    Dialling,
    /// The request is on a connection dialled for it.
    Connected,
    /// A connection was dialled, but one of the pool was free first.
    Overtaken,
}

/// The mark that a dial leaves with its request.
#[derive(Debug)]
pub(super) struct Dial {
    /// The number of the latest dial, so that an overtaken one does not speak for its successor.
    state: Mutex<(u64, Progress)>,
}

impl Dial {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new((0, Progress::NotDialled)),
        })
    }

    /// Runs `request` so that the dials it starts are marked here.
    pub(super) fn watch<F: Future>(
        self: &Arc<Self>,
        request: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        CURRENT.scope(Arc::clone(self), request)
    }

    pub(super) fn progress(&self) -> Progress {
        self.state.lock().1
    }

    fn begin(&self) -> u64 {
        let mut state = self.state.lock();
        *state = (state.0.saturating_add(1), Progress::Dialling);
        state.0
    }

    fn report(&self, number: u64, progress: Progress) {
        let mut state = self.state.lock();
        if state.0 == number {
            state.1 = progress;
        }
    }
}

/// The layer around the connector.
#[derive(Clone, Copy, Debug)]
pub(super) struct DialLayer;

impl<S> Layer<S> for DialLayer {
    type Service = DialService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        DialService { inner }
    }
}

#[derive(Clone, Debug)]
pub(super) struct DialService<S> {
    inner: S,
}

impl<S: Service<R>, R> Service<R> for DialService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = Dialling<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, destination: R) -> Self::Future {
        let mark = CURRENT
            .try_with(|dial| (Arc::clone(dial), dial.begin()))
            .ok();
        Dialling {
            connecting: Box::pin(self.inner.call(destination)),
            mark,
        }
    }
}

/// One connection being made.
#[derive(Debug)]
pub(super) struct Dialling<F> {
    connecting: Pin<Box<F>>,
    mark: Option<(Arc<Dial>, u64)>,
}

impl<F, T, E> Future for Dialling<F>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let overtaken = self.mark.take_if(|(dial, _)| {
            !CURRENT
                .try_with(|current| Arc::ptr_eq(current, dial))
                .unwrap_or(false)
        });
        if let Some((dial, number)) = overtaken {
            dial.report(number, Progress::Overtaken);
        }
        let result = self.connecting.as_mut().poll(cx);
        if let (Poll::Ready(Ok(_)), Some((dial, number))) = (&result, &self.mark) {
            dial.report(*number, Progress::Connected);
        }
        result
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::task::Waker;

    use super::*;

    /// Never finishes, or gives its result at once.
    #[derive(Clone)]
    struct Connector(Option<Result<(), ()>>);

    impl Future for Connector {
        type Output = Result<(), ()>;

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
            self.0.map_or(Poll::Pending, Poll::Ready)
        }
    }

    impl Service<()> for Connector {
        type Response = ();
        type Error = ();
        type Future = Self;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ()>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, (): ()) -> Self::Future {
            self.clone()
        }
    }

    fn poll_once<F: Future + Unpin>(mut future: F) -> Poll<F::Output> {
        Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn finished_dial_marks_its_request_connected() {
        let dial = Dial::new();
        assert_eq!(dial.progress(), Progress::NotDialled);
        let mut service = DialLayer.layer(Connector(Some(Ok(()))));
        dial.watch(async move { service.call(()).await })
            .await
            .unwrap();
        assert_eq!(dial.progress(), Progress::Connected);
    }

    #[test]
    fn dial_polled_outside_its_request_is_overtaken() {
        let dial = Dial::new();
        let mut service = DialLayer.layer(Connector(None));
        let dialling = CURRENT.sync_scope(Arc::clone(&dial), || service.call(()));
        assert_eq!(dial.progress(), Progress::Dialling);
        assert!(poll_once(dialling).is_pending());
        assert_eq!(dial.progress(), Progress::Overtaken);
    }

    #[tokio::test]
    async fn overtaken_dial_does_not_speak_for_a_later_one() {
        let dial = Dial::new();
        let mut pending = DialLayer.layer(Connector(None));
        let mut ready = DialLayer.layer(Connector(Some(Ok(()))));
        let first = CURRENT.sync_scope(Arc::clone(&dial), || pending.call(()));
        dial.watch(async { ready.call(()).await }).await.unwrap();
        assert!(poll_once(first).is_pending());
        assert_eq!(dial.progress(), Progress::Connected);
    }
}
