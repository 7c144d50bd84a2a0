//! Names of hosts, resolved by the system, one look-up at a time for a name.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    sync::{Arc, LazyLock},
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::joined::Joined;

type Found = Result<Arc<[SocketAddr]>, Arc<io::Error>>;

static LOOKUPS: LazyLock<Joined<String, Found>> = LazyLock::new(Joined::new);

/// Asks the system.
#[derive(Clone, Copy, Debug)]
pub(super) struct LookUp;

impl Resolve for LookUp {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        Box::pin(async move {
            let key = host.clone();
            let found = LOOKUPS.run(key, move || look_up(&host)).await;
            match found {
                Some(Ok(addresses)) => Ok(Box::new(Vec::from(&*addresses).into_iter()) as Addrs),
                Some(Err(error)) => Err(error.into()),
                None => Err("the look-up failed".into()),
            }
        })
    }
}

fn look_up(host: &str) -> Found {
    // Port 0 stands for the port of the URL.
    Ok((host, 0).to_socket_addrs()?.collect())
}
