//! Links that cannot be printed, and foreign errors made fit to print.
//!
//! A presigned URL is a bearer token: whoever reads it can fetch the call. Must not know: whose links they are.

use secrecy::ExposeSecret;
use secrecy::SecretString;
use url::Url;

use crate::domain::explain::chain;
use crate::domain::redact::blank_signed_links;

/// A link that grants access. Has no `Debug` and no `Display`, and is wiped from memory when dropped.
#[derive(Clone)]
pub struct SignedUrl(SecretString);

/// Text that is not an absolute URL. The text is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the link is not an absolute URL of at most {MAX_URL_BYTES} bytes")]
pub struct InvalidUrl;

/// Longest link taken. Bird's are about 1,600 bytes.
pub const MAX_URL_BYTES: usize = 16 * 1024;

impl SignedUrl {
    /// Takes a link.
    ///
    /// # Errors
    /// It is not an absolute URL, or absurdly long.
    pub fn parse(text: &str) -> Result<Self, InvalidUrl> {
        Self::parse_with(text, |_| ()).map(|(link, ())| link)
    }

    /// Takes a link, and what is read from it while it is taken apart.
    ///
    /// # Errors
    /// As [`SignedUrl::parse`].
    pub fn parse_with<T>(text: &str, read: impl FnOnce(&Url) -> T) -> Result<(Self, T), InvalidUrl> {
        if text.len() > MAX_URL_BYTES {
            return Err(InvalidUrl);
        }
        let read = read(&Url::parse(text).map_err(|_| InvalidUrl)?);
        Ok((Self(text.into()), read))
    }

    /// The link itself, for the request that uses it and for nothing else.
    ///
    /// # Errors
    /// None in practice: it was an absolute URL when it was taken.
    pub fn expose(&self) -> Result<Url, InvalidUrl> {
        Url::parse(self.0.expose_secret()).map_err(|_| InvalidUrl)
    }
}

/// What an HTTP error says, its causes included, without the URL.
#[must_use]
pub fn explain(error: reqwest::Error) -> String {
    let text = chain(&error.without_url());
    blank_signed_links(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_error_tells_what_happened_and_not_where() {
        let url = "http://127.0.0.1:1/k.mp3?X-Amz-Signature=secret";
        let roots = crate::http::roots::ExtraRoots::default();
        let lookup = crate::http::resolve::by_the_system();
        let client = crate::http::client::MediaClient::new(&std::sync::Arc::default(), &roots, &lookup).unwrap();
        let error = client.get(Url::parse(url).unwrap()).send().await.unwrap_err();
        assert!(
            error.to_string().contains("secret"),
            "the library prints it, which is why this test exists"
        );
        let text = explain(error);
        assert!(
            text.contains("onnect") && !text.contains("secret") && !text.contains("k.mp3"),
            "{text}"
        );
    }

    #[test]
    fn only_absolute_urls_of_bounded_length_are_links() {
        assert!(SignedUrl::parse("https://h/k?X-Amz-Signature=1").is_ok());
        assert!(SignedUrl::parse("/k?x=1").is_err());
        assert!(SignedUrl::parse(&format!("https://h/{}", "k".repeat(MAX_URL_BYTES))).is_err());
    }
}
