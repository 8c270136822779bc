//! Certificates of authorities that are trusted besides the system's.
//!
//! Must not know: where they are kept, what they vouch for.

use reqwest::Certificate;

/// Authorities that are trusted besides the system's.
#[derive(Clone, Default)]
pub struct ExtraRoots(Vec<Certificate>);

/// A text that holds no certificates, or some that cannot be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRoots {
    /// There is none.
    #[error("holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)")]
    None,
    /// One of them is none.
    #[error("holds a certificate that cannot be understood")]
    Garbled,
}

impl ExtraRoots {
    /// Reads certificates in PEM form, one or several. What else stands there is passed over.
    ///
    /// # Errors
    /// There is none, or one that cannot be understood.
    pub fn parse(pem: &[u8]) -> Result<Self, InvalidRoots> {
        let certificates = Certificate::from_pem_bundle(pem).map_err(|_| InvalidRoots::Garbled)?;
        if certificates.is_empty() {
            return Err(InvalidRoots::None);
        }
        // Only whoever builds a client with it learns whether a certificate is one.
        #[expect(clippy::disallowed_methods, reason = "built to be thrown away; nothing is sent")]
        let tried = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only(certificates.clone())
            .build();
        match tried {
            Ok(_) => Ok(Self(certificates)),
            Err(_) => Err(InvalidRoots::Garbled),
        }
    }

    /// How many they are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn certificates(&self) -> Vec<Certificate> {
        self.0.clone()
    }
}

impl std::fmt::Debug for ExtraRoots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} certificate(s)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_refused() {
        let parse = |pem: &str| ExtraRoots::parse(pem.as_bytes()).err();
        assert_eq!(parse(""), Some(InvalidRoots::None));
        assert_eq!(parse("certificate"), Some(InvalidRoots::None));
        let garbled = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(parse(garbled), Some(InvalidRoots::Garbled));
        assert_eq!(parse(&garbled.replace("AAAA", "!!")), Some(InvalidRoots::Garbled));
    }
}
