//! The proxies that the environment names. They are used by the HTTP library, which reads the same variables; here
//! only their hosts matter, since a proxy may be where no media host may be.
//!
//! Must not know: for which hosts a proxy is used.

use std::ffi::OsString;

use url::Url;

/// The variables, in either case.
const VARIABLES: [&str; 3] = ["https_proxy", "http_proxy", "all_proxy"];

/// The hosts of all proxies, in lower case and sorted. What is no proxy is not used as one, and is passed over.
pub(super) fn hosts(env: &[(OsString, OsString)]) -> Vec<String> {
    let is_one = |name: &OsString| {
        let name = name.to_string_lossy();
        VARIABLES.iter().any(|variable| name.eq_ignore_ascii_case(variable))
    };
    let mut hosts: Vec<String> = env
        .iter()
        .filter(|(name, _)| is_one(name))
        .filter_map(|(_, value)| host(value.to_str()?.trim()))
        .collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

fn host(text: &str) -> Option<String> {
    let with_scheme = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let url = Url::parse(&with_scheme).ok()?;
    let host = url.host_str()?.to_ascii_lowercase();
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_found_however_they_are_written() {
        let env = |pairs: &[(&str, &str)]| -> Vec<(OsString, OsString)> {
            pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
        };
        let found = hosts(&env(&[
            ("HTTPS_PROXY", "http://user:pass@Proxy.Intern:3128"),
            ("http_proxy", "proxy.intern:3128"),
            ("ALL_PROXY", "https://[fd00::1]:3128/"),
            ("NO_PROXY", "example.com"),
            ("https_proxy", ""),
        ]));
        assert_eq!(found, ["[fd00::1]", "proxy.intern"]);
    }
}
