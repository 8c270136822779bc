//! What opens a workspace: the secret in use, and how a new one takes its place when it is refused.
//!
//! Must not know: where secrets are kept, what is asked of the API.

use std::fmt;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;

use futures::future::BoxFuture;
use reqwest::header::HeaderValue;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use tokio::sync::Mutex;

use super::error::ApiError;
use super::error::ApiErrorKind;
use crate::domain::ids::WorkspaceName;
use crate::domain::redact::BLANK;

/// Keys shorter than this are not looked for in what upstream says: blanking them would garble it and hide little.
const SHORTEST_KEY: usize = 6;

/// How a credential is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `Authorization: AccessKey …`, Bird's own.
    AccessKey,
    /// `Authorization: Bearer …`.
    Bearer,
}

/// A place that a secret came from, which may hold another one by now. Shown as that place, never as what is in it.
pub trait SecretSource: fmt::Display + Send + Sync {
    /// Reads the secret that is there now; `None` where it can be read only once. It must be hidden from logs before it is
    /// returned.
    ///
    /// The future may be dropped at any time. Its error is what is wrong, fit to print.
    fn read(&self) -> BoxFuture<'_, Result<Option<SecretString>, String>>;
}

/// What opens a workspace.
#[derive(Clone)]
pub struct Credential {
    /// How it is presented.
    pub scheme: Scheme,
    /// The key or token.
    pub secret: SecretString,
    /// Where to look for a new one once it is refused; `None`: there is no such place.
    pub source: Option<Arc<dyn SecretSource>>,
}

/// The credential in use by the requests of one workspace.
pub(super) struct HeldCredential {
    scheme: Scheme,
    source: Option<Arc<dyn SecretSource>>,
    held: RwLock<Held>,
    /// Held while the source is read, so that many refusals at once make few readings. What was last wrong with it.
    reading: Mutex<Option<String>>,
}

#[derive(Clone)]
struct Held {
    secret: SecretString,
    /// The one before, which replies that are under way may still repeat.
    last: Option<SecretString>,
    edition: u64,
}

/// Which secret a request was sent with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edition(u64);

impl HeldCredential {
    pub(super) fn new(credential: Credential) -> Self {
        Self {
            scheme: credential.scheme,
            source: credential.source,
            held: RwLock::new(Held {
                secret: credential.secret,
                last: None,
                edition: 0,
            }),
            reading: Mutex::new(None),
        }
    }

    /// The header that presents the secret in use, and which one that is.
    ///
    /// # Errors
    /// It has characters that no header can carry.
    pub(super) fn authorization(&self) -> Result<(HeaderValue, Edition), ApiError> {
        let scheme = match self.scheme {
            Scheme::AccessKey => "AccessKey",
            Scheme::Bearer => "Bearer",
        };
        let held = self.held();
        let text = SecretString::from(format!("{scheme} {}", held.secret.expose_secret()));
        let mut value = HeaderValue::from_str(text.expose_secret()).map_err(|_| {
            ApiError::new(
                ApiErrorKind::Denied,
                "the credential has characters a header cannot carry",
            )
        })?;
        value.set_sensitive(true);
        Ok((value, Edition(held.edition)))
    }

    /// Whether another secret is in use than the one that was refused: since some other request saw to it, or because the
    /// source holds a new one now.
    ///
    /// Cancel-safe: a reading that is dropped changes nothing.
    pub(super) async fn renew(&self, refused: Edition, workspace: &WorkspaceName) -> bool {
        let Some(source) = &self.source else {
            return false;
        };
        let mut last_wrong = self.reading.lock().await;
        let held = self.held();
        if held.edition != refused.0 {
            return true;
        }
        let secret = match source.read().await {
            Ok(Some(secret)) => secret,
            Ok(None) => return false,
            Err(wrong) => {
                if last_wrong.as_ref() != Some(&wrong) {
                    tracing::warn!(workspace.name = %workspace, error = %wrong,
                        "the credential is refused, and no new one can be read; the old one stays in use");
                    *last_wrong = Some(wrong);
                }
                return false;
            }
        };
        *last_wrong = None;
        if secret.expose_secret() == held.secret.expose_secret() {
            return false;
        }
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Held {
            secret,
            last: Some(held.secret),
            edition: held.edition + 1,
        };
        tracing::info!(workspace.name = %workspace, file = %source,
            "the credential was refused; a new one was read from its file and is in use");
        true
    }

    /// What upstream says, without our key: a reply that repeats it must not bring it into the catalog or a log.
    pub(super) fn blanked_in(&self, said: &[u8]) -> String {
        let mut said = String::from_utf8_lossy(said).into_owned();
        let held = self.held();
        for key in [Some(held.secret), held.last]
            .iter()
            .flatten()
            .map(ExposeSecret::expose_secret)
        {
            if key.len() >= SHORTEST_KEY {
                said = said.replace(key, BLANK);
            }
        }
        said
    }

    fn held(&self) -> Held {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use futures::FutureExt as _;

    use super::*;

    /// Gives one answer after another.
    struct Script(std::sync::Mutex<VecDeque<Result<Option<SecretString>, String>>>);

    impl fmt::Display for Script {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a script")
        }
    }

    impl SecretSource for Script {
        fn read(&self) -> BoxFuture<'_, Result<Option<SecretString>, String>> {
            let answer = self.0.lock().unwrap().pop_front().expect("asked too often");
            std::future::ready(answer).boxed()
        }
    }

    fn held(answers: impl IntoIterator<Item = Result<Option<&'static str>, &'static str>>) -> HeldCredential {
        let answers = answers
            .into_iter()
            .map(|answer| answer.map(|text| text.map(SecretString::from)).map_err(str::to_owned));
        HeldCredential::new(Credential {
            scheme: Scheme::AccessKey,
            secret: "first-secret".into(),
            source: Some(Arc::new(Script(std::sync::Mutex::new(answers.collect())))),
        })
    }

    fn sent(credential: &HeldCredential) -> (String, Edition) {
        let (value, edition) = credential.authorization().unwrap();
        assert!(value.is_sensitive());
        (value.to_str().unwrap().to_owned(), edition)
    }

    #[tokio::test]
    async fn only_another_secret_takes_the_place_of_a_refused_one() {
        let workspace: WorkspaceName = "support".parse().unwrap();
        let credential = held([
            Err("half"),
            Err("half"),
            Ok(None),
            Ok(Some("first-secret")),
            Ok(Some("second")),
        ]);
        for _ in 0..4 {
            let (value, edition) = sent(&credential);
            assert_eq!(value, "AccessKey first-secret");
            assert!(!credential.renew(edition, &workspace).await);
        }
        let (_, first) = sent(&credential);
        assert!(credential.renew(first, &workspace).await);
        assert_eq!(sent(&credential).0, "AccessKey second");
        assert_eq!(credential.blanked_in(b"second, first-secret"), "***, ***");
    }

    #[tokio::test]
    async fn of_many_refusals_at_once_one_reads() {
        let workspace: WorkspaceName = "support".parse().unwrap();
        let credential = held([Ok(Some("second"))]);
        let (_, first) = sent(&credential);
        let renewals = (0..20).map(|_| credential.renew(first, &workspace));
        assert!(
            futures::future::join_all(renewals)
                .await
                .into_iter()
                .all(|renewed| renewed)
        );
        assert_eq!(sent(&credential).0, "AccessKey second");
    }
}
