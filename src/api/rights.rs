//! Asks what a credential may do besides what birdkeep needs, by requests that change nothing.
//!
//! Must not know: which right is wanted.

use reqwest::Method;
use reqwest::StatusCode;
use reqwest::header::ACCEPT;
use reqwest::header::AUTHORIZATION;
use url::Url;

use super::client::WorkspaceApi;
use super::error::ApiError;
use super::error::ApiErrorKind;
use super::tickets::Lane;
use crate::domain::ids::RecordingId;
use crate::http::redact::explain;

/// Whether a credential may do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Right {
    /// It may.
    Allowed,
    /// It may not: 401 or 403.
    Denied,
    /// Neither can be told from what upstream answered.
    Unknown(String),
}

impl WorkspaceApi {
    /// Whether the credential may delete recordings: asks to delete `nobody`, which must be the id of no recording.
    ///
    /// Give it a random id, new each time. The nil UUID is no safe choice: a server may take an id that is all zeros for
    /// one that was not given, and what it deletes then is not known.
    pub async fn may_delete(&self, nobody: RecordingId) -> Right {
        let url = self.url(&["recordings"]).map(|mut url| {
            if let Ok(mut path) = url.path_segments_mut() {
                path.push(&nobody.to_string());
            }
            url
        });
        match self.status_of(Method::DELETE, url).await {
            // It was looked for, so it would have been deleted.
            Ok(404) => Right::Allowed,
            Ok(204) => Right::Allowed,
            other => told(other),
        }
    }

    /// Whether the credential may view the workspace's `recording-metrics`.
    pub async fn may_view_metrics(&self) -> Right {
        match self.status_of(Method::GET, self.url(&["recording-metrics"])).await {
            Ok(200) => Right::Allowed,
            other => told(other),
        }
    }

    /// The status of one request, sent once: what it says of rights needs no retry.
    async fn status_of(&self, method: Method, url: Result<Url, ApiError>) -> Result<u16, ApiError> {
        self.pace.wait(Lane::Backlog).await;
        let (authorization, _) = self.credential.authorization()?;
        let reply = self
            .api
            .http
            .request(method, url?)
            .timeout(self.api.options.timeout)
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, authorization)
            .send()
            .await
            .map_err(|error| ApiError::new(ApiErrorKind::Unavailable, explain(error)))?;
        Ok(reply.status().as_u16())
    }
}

fn told(status: Result<u16, ApiError>) -> Right {
    match status {
        Ok(status) if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN => Right::Denied,
        Ok(status) => Right::Unknown(format!("the API answered {status}")),
        Err(error) => Right::Unknown(error.to_string()),
    }
}
