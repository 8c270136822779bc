//! What kind of network an address belongs to, by the registries of IANA (RFC 6890 and what extends it).
//!
//! Must not know: names, who may be asked.

use std::fmt;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

/// What kind of network an address belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressKind {
    /// Reached over the public internet.
    Public,
    /// This machine.
    Loopback,
    /// A network of somebody's own: RFC 1918, RFC 6598 (carrier-grade NAT), unique local.
    Private,
    /// The cable: 169.254.0.0/16, where clouds keep their metadata services, and `fe80::/10`.
    LinkLocal,
    /// Many machines at once.
    Multicast,
    /// No address: `0.0.0.0` and `::`.
    Unspecified,
    /// For use in books.
    Documentation,
    /// Set aside for anything else.
    Reserved,
}

impl fmt::Display for AddressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "a public address",
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::LinkLocal => "a link-local address",
            Self::Multicast => "a multicast address",
            Self::Unspecified => "the unspecified address",
            Self::Documentation => "an address for documentation",
            Self::Reserved => "a reserved address",
        })
    }
}

/// The kind of an address. One that carries an IPv4 address (mapped, compatible, NAT64, 6to4) is of that one's kind.
#[must_use]
pub fn kind(address: IpAddr) -> AddressKind {
    match address {
        IpAddr::V4(address) => kind_of_v4(address),
        IpAddr::V6(address) => kind_of_v6(address),
    }
}

fn kind_of_v4(address: Ipv4Addr) -> AddressKind {
    match address.octets() {
        [0, 0, 0, 0] => AddressKind::Unspecified,
        [127, ..] => AddressKind::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => AddressKind::Private,
        [169, 254, ..] => AddressKind::LinkLocal,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => AddressKind::Documentation,
        [224..=239, ..] => AddressKind::Multicast,
        // This network, protocol assignments, the old 6to4 relay, benchmarks, class E and broadcast.
        [0 | 240..=255, ..] | [192, 0, 0, _] | [192, 88, 99, _] | [198, 18..=19, ..] => AddressKind::Reserved,
        _ => AddressKind::Public,
    }
}

fn kind_of_v6(address: Ipv6Addr) -> AddressKind {
    let segments = address.segments();
    let carried = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        kind_of_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 0] => AddressKind::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => AddressKind::Loopback,
        // Compatible and translated (SIIT), mapped, NAT64's well-known prefix, 6to4.
        [0, 0, 0, 0, 0 | 0xffff, 0, high, low]
        | [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => carried(high, low),
        [0xfc00..=0xfdff, ..] => AddressKind::Private,
        // Site-local, which nobody may use any more, is as near as link-local.
        [0xfe80..=0xfeff, ..] => AddressKind::LinkLocal,
        [0xff00..=0xffff, ..] => AddressKind::Multicast,
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => AddressKind::Documentation,
        // Protocol assignments: Teredo, benchmarks, ORCHID.
        [0x2001, 0..=0x1ff, ..] => AddressKind::Reserved,
        // The only part of the whole that was given out.
        [0x2000..=0x3fff, ..] => AddressKind::Public,
        _ => AddressKind::Reserved,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str) -> AddressKind {
        kind(text.parse().unwrap())
    }

    /// Both ends of every block, and what carries an address of one.
    const REGISTERED: [(AddressKind, &[&str]); 8] = [
        (
            AddressKind::Public,
            &[
                "1.0.0.0",
                "9.255.255.255",
                "11.0.0.0",
                "52.95.110.1",
                "100.63.255.255",
                "100.128.0.0",
                "172.15.255.255",
                "172.32.0.0",
                "192.167.255.255",
                "192.169.0.0",
                "223.255.255.255",
                "2600:9000::1",
                "2a05:d018::1",
                "64:ff9b::52.95.110.1",
                "2002:345f:6e01::",
                "::ffff:52.95.110.1",
            ],
        ),
        (
            AddressKind::Loopback,
            &[
                "127.0.0.0",
                "127.255.255.255",
                "::1",
                "::ffff:127.0.0.1",
                "::127.0.0.2",
                "64:ff9b::7f00:1",
                "2002:7f00:1::",
                "::ffff:0:127.0.0.1",
            ],
        ),
        (
            AddressKind::Private,
            &[
                "10.0.0.0",
                "10.255.255.255",
                "172.16.0.0",
                "172.31.255.255",
                "192.168.0.0",
                "192.168.255.255",
                "100.64.0.0",
                "100.127.255.255",
                "fc00::",
                "fdff::1",
                "::ffff:10.0.0.1",
                "2002:a00:1::",
                "64:ff9b::a00:1",
            ],
        ),
        (
            AddressKind::LinkLocal,
            &[
                "169.254.0.0",
                "169.254.169.254",
                "fe80::1",
                "febf::",
                "fec0::",
                "::ffff:169.254.169.254",
            ],
        ),
        (
            AddressKind::Multicast,
            &["224.0.0.0", "239.255.255.255", "ff00::", "ff02::1"],
        ),
        (AddressKind::Unspecified, &["0.0.0.0", "::", "::ffff:0.0.0.0"]),
        (
            AddressKind::Documentation,
            &["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff:fff::1"],
        ),
        (
            AddressKind::Reserved,
            &[
                "0.0.0.1",
                "192.0.0.1",
                "192.88.99.1",
                "198.18.0.0",
                "198.19.255.255",
                "240.0.0.0",
                "255.255.255.255",
                "100::1",
                "2001::1",
                "64:ff9b:1::1",
                "4000::",
                "5f00::1",
            ],
        ),
    ];

    #[test]
    fn every_registered_block_has_its_kind_at_both_ends() {
        for (wanted, addresses) in REGISTERED {
            for address in addresses {
                assert_eq!(of(address), wanted, "{address}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_wrapping_makes_an_address_more_public(bits: u32) {
            let plain = Ipv4Addr::from_bits(bits);
            let [a, b] = [(bits >> 16) as u16, (bits & 0xffff) as u16];
            let wrapped = [
                plain.to_ipv6_mapped(),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, a, b),
                Ipv6Addr::new(0x2002, a, b, 0, 0, 0, 0, 1),
                Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, a, b),
            ];
            for address in wrapped {
                prop_assert_eq!(kind(address.into()), kind(plain.into()), "{}", address);
            }
        }

        #[test]
        fn what_is_public_is_nothing_that_the_standard_library_knows_as_special(bits: u32, wide: u128) {
            let narrow = Ipv4Addr::from_bits(bits);
            if kind(narrow.into()) == AddressKind::Public {
                prop_assert!(!narrow.is_private() && !narrow.is_loopback() && !narrow.is_link_local());
                prop_assert!(!narrow.is_multicast() && !narrow.is_unspecified() && !narrow.is_documentation());
                prop_assert!(!narrow.is_broadcast());
            }
            let wide = Ipv6Addr::from_bits(wide);
            if kind(wide.into()) == AddressKind::Public {
                prop_assert!(!wide.is_loopback() && !wide.is_multicast() && !wide.is_unspecified());
                prop_assert!(!wide.is_unique_local() && !wide.is_unicast_link_local());
            }
        }
    }
}
