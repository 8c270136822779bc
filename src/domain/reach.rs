//! Where media may come from: which URLs may be asked for, and which addresses their names may lead to.
//!
//! A name that is allowed says nothing of where it leads: whoever answers for it may answer with this machine, or with
//! a cloud's metadata service. Must not know: how names are resolved, how a URL is fetched.

use std::net::IpAddr;

use url::Url;

use super::address;
use super::address::AddressKind;
use super::host::HostPattern;

/// Hosts that may be asked, and what their names may lead to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Hosts that may be asked.
    pub allowed_hosts: Vec<HostPattern>,
    /// Those of them whose names may lead to a private network.
    pub private_hosts: Vec<HostPattern>,
    /// Names of proxies. The operator's own choice: they may lead anywhere.
    pub proxy_hosts: Vec<String>,
}

/// A name led where it may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it leads to {address}, {kind}, and nothing in the configuration says that it may")]
pub struct AddressRefused {
    /// Where.
    pub address: IpAddr,
    /// What that is.
    pub kind: AddressKind,
}

/// The name that stands for this machine wherever it is asked for.
const THIS_MACHINE: &str = "localhost";

impl Reach {
    /// Whether this URL may be asked for. One that has an address instead of a name must have been allowed by that very
    /// address, whatever its kind.
    #[must_use]
    pub fn allows(&self, url: &Url) -> bool {
        self.allowed_hosts.iter().any(|pattern| pattern.matches(url))
    }

    /// Whether a connection for this name may go to this address. `localhost` never leads away from this machine, and a
    /// name that was not allowed leads nowhere.
    ///
    /// # Errors
    /// Says what it is.
    pub fn check(&self, name: &str, address: IpAddr) -> Result<(), AddressRefused> {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let kind = address::kind(address);
        let named = |patterns: &[HostPattern]| patterns.iter().any(|pattern| pattern.names(&name));
        let is_proxy = || self.proxy_hosts.contains(&name);
        let may = if name == THIS_MACHINE {
            kind == AddressKind::Loopback && (named(&self.allowed_hosts) || is_proxy())
        } else if named(&self.allowed_hosts) {
            kind == AddressKind::Public
                || (kind == AddressKind::Private && named(&self.private_hosts))
                || self.allowed_hosts.iter().any(|pattern| pattern.is_address(address))
        } else {
            is_proxy()
        };
        if may {
            Ok(())
        } else {
            Err(AddressRefused { address, kind })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reach(allowed: &[&str], private: &[&str]) -> Reach {
        let read = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Reach {
            allowed_hosts: read(allowed),
            private_hosts: read(private),
            proxy_hosts: vec!["proxy.intern".to_owned()],
        }
    }

    fn may(reach: &Reach, name: &str, address: &str) -> bool {
        reach.check(name, address.parse().unwrap()).is_ok()
    }

    #[test]
    fn a_name_leads_to_public_addresses_only() {
        let reach = reach(&["*.amazonaws.com"], &[]);
        assert!(may(&reach, "b.s3.amazonaws.com", "52.95.110.1"));
        assert!(may(&reach, "B.S3.AMAZONAWS.com.", "2600:9000::1"));
        for address in [
            "127.0.0.1",
            "10.0.0.1",
            "169.254.169.254",
            "::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "0.0.0.0",
        ] {
            assert!(!may(&reach, "b.s3.amazonaws.com", address), "{address}");
        }
        assert!(!may(&reach, "evil.test", "52.95.110.1"));
    }

    #[test]
    fn a_private_network_is_opened_by_name_and_nothing_else_with_it() {
        let reach = reach(&["*.amazonaws.com", "media.intern.example"], &["media.intern.example"]);
        assert!(may(&reach, "media.intern.example", "10.1.2.3"));
        assert!(may(&reach, "media.intern.example", "fd00::7"));
        assert!(may(&reach, "media.intern.example", "52.95.110.1"));
        for address in ["127.0.0.1", "169.254.169.254", "::1", "fe80::1", "224.0.0.1", "0.0.0.0"] {
            assert!(!may(&reach, "media.intern.example", address), "{address}");
        }
        assert!(!may(&reach, "b.s3.amazonaws.com", "10.1.2.3"));
    }

    #[test]
    fn an_address_that_is_allowed_itself_may_have_a_name() {
        let reach = reach(&["media.test", "127.0.0.1", "10.0.0.7:9000"], &[]);
        assert!(may(&reach, "media.test", "127.0.0.1"));
        assert!(!may(&reach, "media.test", "127.0.0.2"));
        // Allowed on one port alone: a name's port is not known here.
        assert!(!may(&reach, "media.test", "10.0.0.7"));
    }

    #[test]
    fn localhost_stays_on_this_machine_and_a_proxy_may_be_anywhere() {
        let reach = reach(&["localhost"], &[]);
        assert!(may(&reach, "localhost", "127.0.0.1") && may(&reach, "LOCALHOST.", "::1"));
        assert!(!may(&reach, "localhost", "52.95.110.1"));
        assert!(!may(&Reach::default(), "localhost", "127.0.0.1"));
        assert!(may(&reach, "proxy.intern", "10.0.0.1"));
    }

    proptest! {
        #[test]
        fn nothing_but_public_addresses_without_a_word_of_the_operator(bits: u32, wide: u128, name in "[a-z]{1,9}") {
            let reach = reach(&["*.amazonaws.com"], &["*.other.example"]);
            let name = format!("{name}.amazonaws.com");
            for address in [IpAddr::from(bits.to_be_bytes()), IpAddr::from(wide.to_be_bytes())] {
                let public = address::kind(address) == AddressKind::Public;
                prop_assert_eq!(reach.check(&name, address).is_ok(), public, "{}", address);
            }
        }
    }
}
