//! Resolves host names with the system's resolver, with only one look-up of a name at a time.

use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::{Arc, LazyLock},
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::NetworkFault;
use super::single_flight::{BlockingLimit, MAX_AT_ONCE, SingleFlight};

type Found = Result<Arc<[SocketAddr]>, Arc<io::Error>>;

static LOOKUPS: LazyLock<SingleFlight<String, Found>> = LazyLock::new(SingleFlight::new);
static LOOKUP_LIMIT: BlockingLimit = BlockingLimit::new(MAX_AT_ONCE);

/// The system's resolver.
#[derive(Clone, Copy, Debug)]
pub(super) struct SystemResolver;

/// The error for a name that does not resolve.
#[derive(Debug, thiserror::Error)]
#[error("could not resolve the host name: {0}")]
pub(super) struct Unresolved(Arc<io::Error>);

impl Unresolved {
    /// Classifies the failure. The standard library does not expose the resolver's error code, so
    /// this function reads the error's text.
    pub(super) fn fault(&self) -> NetworkFault {
        if self.0.to_string().contains("Temporary failure") {
            NetworkFault::DnsUnavailable
        } else {
            NetworkFault::Dns
        }
    }
}

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        // With a SOCKS proxy, the HTTP library also passes IP addresses to the resolver.
        let host = name.as_str().trim_matches(['[', ']']).to_owned();
        Box::pin(async move {
            if let Ok(address) = host.parse::<IpAddr>() {
                let found: Addrs = Box::new(std::iter::once(SocketAddr::new(address, 0)));
                return Ok(found);
            }
            let key = host.clone();
            let work = move || look_up(&host);
            match LOOKUPS.run(key, &LOOKUP_LIMIT, work).await {
                Some(Ok(addresses)) => {
                    let found: Addrs = Box::new(Vec::from(&*addresses).into_iter());
                    Ok(found)
                }
                Some(Err(error)) => Err(Unresolved(error).into()),
                None => {
                    let interrupted = io::Error::other("the look-up was interrupted");
                    Err(Unresolved(Arc::new(interrupted)).into())
                }
            }
        })
    }
}

fn look_up(host: &str) -> Found {
    // The HTTP library replaces port 0 with the port of the URL.
    Ok((host, 0).to_socket_addrs()?.collect())
}
