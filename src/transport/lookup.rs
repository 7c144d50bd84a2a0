//! Names of hosts, resolved by the system, one look-up at a time for a name.

use std::{
    error::Error,
    fmt,
    future::Future,
    io,
    net::{SocketAddr, ToSocketAddrs},
    pin::Pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll},
    vec,
};

use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

use super::joined::{Joined, Room};

type Found = Result<Arc<[SocketAddr]>, Arc<io::Error>>;

static LOOKUPS: LazyLock<Arc<Joined<String, Found>>> = LazyLock::new(|| Joined::new(Room::new()));

/// Asks the system.
#[derive(Clone, Copy, Debug)]
pub(super) struct LookUp;

/// A name cannot be resolved.
#[derive(Debug)]
pub(super) struct Unresolved(Arc<io::Error>);

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the host name cannot be resolved: {}", self.0)
    }
}

impl Error for Unresolved {}

impl Service<Name> for LookUp {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = Unresolved;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Unresolved>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Unresolved>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let host = name.as_str().to_owned();
        Box::pin(async move {
            let key = host.clone();
            match LOOKUPS.run(key, move || look_up(&host)).await {
                Some(Ok(addresses)) => Ok(Vec::from(&*addresses).into_iter()),
                Some(Err(error)) => Err(Unresolved(error)),
                None => Err(Unresolved(Arc::new(io::Error::other("the look-up failed")))),
            }
        })
    }
}

fn look_up(host: &str) -> Found {
    // Port 0 stands for the port of the URL.
    Ok((host, 0).to_socket_addrs()?.collect())
}
