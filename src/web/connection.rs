//! One connection: one request, its answer, the end.
//!
//! Must not know: what the answers say.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Method;
use hyper::Request;
use hyper::Response;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::ALLOW;
use hyper::header::CACHE_CONTROL;
use hyper::header::CONTENT_TYPE;
use hyper::header::HeaderName;
use hyper::header::HeaderValue;
use hyper::header::WWW_AUTHENTICATE;
use hyper::header::X_CONTENT_TYPE_OPTIONS;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpStream;

use super::Doors;
use super::pages;
use super::pages::Page;
use super::rules::Verdict;
use crate::telemetry;

/// How long the head of a request may take to come.
const HEAD_PATIENCE: Duration = Duration::from_secs(5);

/// How long an answer may take to be made. Looking at the catalog and the disk is bounded below that.
const ANSWER_PATIENCE: Duration = Duration::from_secs(8);

/// How long a connection may live, whoever is slow.
const CONNECTION_LIFE: Duration = Duration::from_secs(20);

/// Memory for a request's head; hyper takes no less.
const HEAD_BYTES: usize = 8 * 1024;

/// Lines of a request's head.
const MOST_HEADERS: usize = 64;

/// Serves one request and closes.
pub(super) async fn serve(stream: TcpStream, doors: Arc<Doors>) {
    let service = service_fn(move |request| {
        let doors = Arc::clone(&doors);
        async move { Ok::<_, Infallible>(answer(&request, &doors).await) }
    });
    let mut connection = http1::Builder::new();
    connection
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .keep_alive(false)
        .max_buf_size(HEAD_BYTES)
        .max_headers(MOST_HEADERS);
    let served = connection.serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION_LIFE, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::trace!(%error, "a connection broke off"),
        Err(_) => tracing::trace!("a connection took too long"),
    }
}

async fn answer(request: &Request<Incoming>, doors: &Doors) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    match doors.rules().judge(request.uri(), request.headers()) {
        Verdict::Welcome => {}
        Verdict::NotForThisHost => {
            let why = "this host name is not served; name it in http.allowed_hosts, or ask by 127.0.0.1\n";
            return whole(&Page::plain(StatusCode::FORBIDDEN, why));
        }
        Verdict::NoToken => {
            let why = "this needs \"Authorization: Bearer …\" with the token of http.token or http.token_file\n";
            let mut response = whole(&Page::plain(StatusCode::UNAUTHORIZED, why));
            set(&mut response, WWW_AUTHENTICATE, "Bearer");
            return response;
        }
    }
    if !pages::PATHS.contains(&path) {
        return whole(&Page::plain(
            StatusCode::NOT_FOUND,
            "there is nothing here; / lists what there is\n",
        ));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = whole(&Page::plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n"));
        set(&mut response, ALLOW, "GET, HEAD");
        return response;
    }
    match tokio::time::timeout(ANSWER_PATIENCE, pages::page(path, &doors.observer)).await {
        Ok(page) => whole(&page),
        Err(_) => whole(&Page::plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "the answer could not be made in time\n",
        )),
    }
}

/// A page as it leaves, after the same last look that log lines get.
fn whole(page: &Page) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(telemetry::clean(&page.text))));
    *response.status_mut() = page.status;
    set(&mut response, CONTENT_TYPE, page.content_type);
    set(&mut response, CACHE_CONTROL, "no-store");
    set(&mut response, X_CONTENT_TYPE_OPTIONS, "nosniff");
    response
}

fn set(response: &mut Response<Full<Bytes>>, name: HeaderName, value: &'static str) {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
}
