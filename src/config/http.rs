//! The `[http]` section: where metrics and health are served, to whom, and from when on a walk is stale.
//!
//! Must not know: what is served.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;

use secrecy::ExposeSecret;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use super::HttpConfig;
use super::fault::Origin;
use super::reader::Section;
use super::secret;
use super::sources::Sources;
use super::values;

/// Shorter tokens can be guessed.
const SHORTEST_TOKEN: usize = 16;

/// What the section came to.
pub(super) struct Http {
    pub config: HttpConfig,
    /// Whether the configuration file itself holds the token.
    pub secret_in_file: bool,
    pub warnings: Vec<String>,
}

/// Reads where it is listened.
pub(super) fn listen(section: &mut Section<'_>) -> SocketAddr {
    let default = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8460);
    section.read("listen", default, values::listen)
}

/// Reads the section.
pub(super) fn read(mut section: Section<'_>, sources: &Sources) -> Http {
    let listen = listen(&mut section);
    let mut http = Http {
        config: HttpConfig {
            listen,
            token: None,
            allowed_hosts: section.read("allowed_hosts", Vec::new(), values::hosts_or_none),
            stale_after: section.optional(
                "stale_after",
                Origin::NotSet,
                values::duration(std::time::Duration::from_secs(1)..=values::TEN_YEARS),
            ),
        },
        secret_in_file: false,
        warnings: Vec::new(),
    };
    let is_given = http.read_token(&mut section, sources);
    if !is_given && !is_loopback(listen) {
        let origin = section.origin("listen");
        section.refuse(
            "listen",
            origin,
            Some(listen.to_string()),
            "others can reach this address: set http.token_file (or http.token), or listen on 127.0.0.1",
        );
    }
    section.finish();
    http
}

/// Whether only this machine can reach an address.
fn is_loopback(listen: SocketAddr) -> bool {
    listen.ip().to_canonical().is_loopback()
}

impl Http {
    /// Reads the token; says whether one was given, though it may be refused.
    fn read_token(&mut self, section: &mut Section<'_>, sources: &Sources) -> bool {
        let in_place = section.take("token", Origin::NotSet);
        let in_file = section.take("token_file", Origin::NotSet);
        let (name, given) = match (in_place, in_file) {
            (None, None) => return false,
            (Some(token), Some(file)) => {
                let remedy = format!(
                    "token ({}) and token_file ({}) are both set; keep one of them",
                    token.origin, file.origin
                );
                section.refuse("token", token.origin, None, remedy);
                return true;
            }
            (Some(token), None) => ("token", token),
            (None, Some(file)) => ("token_file", file),
        };
        self.secret_in_file = name == "token" && matches!(given.origin, Origin::File(_));
        let is_unread = name == "token_file" && sources.skip_key_files && !sources.keep_http_token;
        let read = values::text(&given.kind).map(Zeroizing::new).and_then(|text| {
            let token = match name {
                "token" => secret::in_place(&text)?,
                _ if is_unread => SecretString::default(),
                _ => secret::from_file_always("http.token_file", &text, sources, &mut self.warnings)?.0,
            };
            if token.expose_secret().len() < SHORTEST_TOKEN && !is_unread {
                return Err(format!(
                    "is shorter than {SHORTEST_TOKEN} characters and can be guessed; make one with `openssl rand -hex 32`"
                ));
            }
            Ok(token)
        });
        match read {
            Ok(token) => self.config.token = Some(token),
            Err(remedy) => section.refuse(name, given.origin, None, remedy),
        }
        true
    }
}
