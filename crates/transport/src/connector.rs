//! Observes the HTTP library's connector: the stage of a request, and whether the library opened a
//! connection for it.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tower_layer::Layer;
use tower_service::Service;

use super::{Progress, Stage};

tokio::task_local! {
    /// The request that this task is sending.
    static SENDING: Sending;
}

struct Sending {
    progress: Progress,
    has_connected: Cell<bool>,
}

/// Runs `sending`, which sends one request. Returns whether the HTTP library opened a connection
/// for the request.
///
/// The connector runs in the sending task. If an existing connection becomes free meanwhile, the
/// library uses that connection and finishes connecting in a separate task, which this module does
/// not observe.
pub(super) async fn observed<T>(
    progress: &Progress,
    sending: impl Future<Output = T>,
) -> (T, bool) {
    let observed = Sending {
        progress: progress.clone(),
        has_connected: Cell::new(false),
    };
    let sending = async {
        let result = sending.await;
        (result, SENDING.with(|sending| sending.has_connected.get()))
    };
    SENDING.scope(observed, sending).await
}

/// The layer that wraps the connector.
#[derive(Clone, Copy, Debug)]
pub(super) struct Observe;

impl<S> Layer<S> for Observe {
    type Service = Observed<S>;

    fn layer(&self, connector: S) -> Observed<S> {
        Observed(connector)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Observed<S>(S);

impl<S, R> Service<R> for Observed<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, destination: R) -> Self::Future {
        note(Stage::Connecting, false);
        let connecting = self.0.call(destination);
        Box::pin(async move {
            let connection = connecting.await?;
            note(Stage::WaitingForAnswer, true);
            Ok(connection)
        })
    }
}

fn note(stage: Stage, has_connected: bool) {
    // Only the task of a request reports its stage.
    let _ = SENDING.try_with(|sending| {
        sending.progress.enter(stage);
        sending.has_connected.set(has_connected);
    });
}
