//! Names to addresses, and no address that was not checked: what is looked up is what is connected to, since nobody
//! looks again.
//!
//! Must not know: who asks, and why an address may be used.

use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use reqwest::dns::Addrs;
use reqwest::dns::Name;
use reqwest::dns::Resolve;
use reqwest::dns::Resolving;

use crate::domain::reach::AddressRefused;
use crate::domain::reach::Reach;

/// How long a name may take. The system's resolver gives up by itself after about as long, and cannot be told to.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// How a name is looked up.
pub type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// By the system: its hosts file, its name servers.
#[must_use]
pub fn by_the_system() -> Lookup {
    Arc::new(|name| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

/// Looks a name up once, and hands out those of its addresses that it may lead to.
pub(super) struct Checked {
    pub(super) reach: Arc<Reach>,
    pub(super) lookup: Lookup,
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let (reach, name) = (Arc::clone(&self.reach), name.as_str().to_owned());
        let looking = (self.lookup)(name.clone());
        Box::pin(async move {
            let found = tokio::time::timeout(LOOKUP_TIMEOUT, looking)
                .await
                .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no name server answered in time"))??;
            let mut refused: Option<AddressRefused> = None;
            let mut checked = Vec::with_capacity(found.len());
            for address in found {
                match reach.check(&name, address) {
                    // The port is the URL's.
                    Ok(()) => checked.push(SocketAddr::new(address, 0)),
                    Err(error) => refused = Some(error),
                }
            }
            match (checked.is_empty(), refused) {
                (true, Some(refused)) => Err(refused.into()),
                (true, None) => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address").into()),
                (false, _) => Ok(Box::new(checked.into_iter()) as Addrs),
            }
        })
    }
}

/// Whether, and how, a request failed because its name led where it may not.
#[must_use]
pub fn refused_address(error: &reqwest::Error) -> Option<AddressRefused> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(refused) = error.downcast_ref() {
            return Some(*refused);
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(lookup: Lookup) -> Checked {
        let reach = Reach {
            allowed_hosts: vec!["*.media.test".parse().unwrap()],
            ..Reach::default()
        };
        Checked {
            reach: Arc::new(reach),
            lookup,
        }
    }

    fn answer(addresses: &[&str]) -> Lookup {
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        Arc::new(move |_| {
            let addresses = addresses.clone();
            Box::pin(async move { Ok(addresses) })
        })
    }

    async fn resolve(lookup: Lookup, name: &str) -> Result<Vec<SocketAddr>, String> {
        match checked(lookup).resolve(name.parse().unwrap()).await {
            Ok(addresses) => Ok(addresses.collect()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[tokio::test]
    async fn only_what_a_name_may_lead_to_is_handed_out() {
        let mixed = answer(&["10.0.0.1", "52.95.110.1", "::1", "2600:9000::1"]);
        let found = resolve(mixed, "b.media.test").await.unwrap();
        assert_eq!(
            found,
            ["52.95.110.1:0".parse().unwrap(), "[2600:9000::1]:0".parse().unwrap()]
        );
        let why = resolve(answer(&["169.254.169.254"]), "b.media.test").await.unwrap_err();
        assert!(why.contains("169.254.169.254, a link-local address"), "{why}");
        let why = resolve(answer(&["52.95.110.1"]), "evil.test").await.unwrap_err();
        assert!(why.contains("52.95.110.1"), "{why}");
        assert!(
            resolve(answer(&[]), "b.media.test")
                .await
                .unwrap_err()
                .contains("no address")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_server_that_never_answers_is_not_waited_for() {
        let never: Lookup = Arc::new(|_| Box::pin(std::future::pending()));
        let why = resolve(never, "b.media.test").await.unwrap_err();
        assert!(why.contains("in time"), "{why}");
        let failing: Lookup = Arc::new(|_| Box::pin(async { Err(io::Error::other("SERVFAIL")) }));
        assert!(resolve(failing, "b.media.test").await.unwrap_err().contains("SERVFAIL"));
    }
}
