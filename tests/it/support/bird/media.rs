//! The bucket's host: objects behind signed links, with S3's replies and errors.
//!
//! Must not know: the API, or how bytes are sent.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use birdkeep::domain::ids::RecordingId;

use super::MissingMedia;
use super::Shared;
use super::body::Body;
use super::body::Object;
use super::fault::Occasion;
use super::fault::Scene;
use super::http::Request;
use super::http::percent_decode;
use super::link::BUCKET;
use super::link::REDIRECTED;
use super::record::Recording;
use super::reply::Answer;
use super::reply::Reply;
use super::seen::InFlight;
use super::seen::RequestKind;
use super::sign::Refusal;
use super::time::iso_seconds;

/// Whose media a path names.
pub struct Target {
    pub workspace: String,
    pub id: RecordingId,
    source_id: String,
}

impl Target {
    fn of(path: &str) -> Option<Self> {
        let path = String::from_utf8(percent_decode(path)).ok()?;
        let key = path
            .strip_prefix('/')?
            .strip_prefix(BUCKET)?
            .strip_prefix("/workspaceID:")?;
        let (workspace, rest) = key.split_once("/sourceID:")?;
        let (source_id, name) = rest.split_once('/')?;
        let id = name.strip_suffix(".mp3")?.parse().ok()?;
        Some(Self {
            workspace: workspace.to_owned(),
            id,
            source_id: source_id.to_owned(),
        })
    }
}

/// Answers one request to the bucket's host.
pub fn answer(shared: &Shared, request: &Request) -> Answer {
    let guard = InFlight::begin(&shared.seen);
    let judged = shared.signer.judge(request, &shared.clock);
    let expired = matches!(judged, Err(Refusal::Expired { .. }));
    let target = Target::of(request.path());
    let mut answer: Answer = match (&judged, &target) {
        (Err(refusal), _) => refused(shared, refusal).into(),
        (Ok(()), None) => missing(shared).into(),
        (Ok(()), Some(target)) => granted(shared, request, target),
    };
    if let Some(reply) = answer.reply_mut() {
        dress(shared, reply);
    }
    let kind = match target {
        Some(target) => RequestKind::Media {
            workspace: target.workspace,
            id: target.id,
            range: request.header("range").map(str::to_owned),
            if_match: request.header("if-match").map(str::to_owned),
            expired,
        },
        None => RequestKind::Other {
            path: request.path().to_owned(),
        },
    };
    shared.seen.note(shared.clock.now(), kind, request, answer.status());
    answer.holding(guard)
}

/// Headers that every reply of S3 carries.
fn dress(shared: &Shared, reply: &mut Reply) {
    let number = shared.request_number.fetch_add(1, Ordering::Relaxed);
    let stamp = shared.clock.stamp();
    for (name, value) in [
        ("Date", stamp.http.clone()),
        (
            "x-amz-request-id",
            format!("{:016X}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        ),
        ("x-amz-id-2", format!("{number:044x}")),
        ("Server", "AmazonS3".to_owned()),
    ] {
        if reply.header_value(name).is_none() {
            reply.headers.push((name.to_owned(), value));
        }
    }
}

fn granted(shared: &Shared, request: &Request, target: &Target) -> Answer {
    let recording = shared.world.lock().unwrap().recording(&target.workspace, target.id);
    let recording = recording.filter(|recording| recording.text("sourceId") == Some(&target.source_id));
    let occasion = Occasion {
        scene: Scene::Media,
        workspace: &target.workspace,
        recording: Some(target.id),
        page: None,
        ranged: request.header("range").is_some(),
        redirected: request
            .query()
            .any(|(name, value)| name == "x-id" && value == REDIRECTED),
    };
    let fault = shared.faults.media(&occasion);
    let found = recording.and_then(|recording| Some((recording.object.clone()?, recording)));
    let Some((object, recording)) = found else {
        return missing(shared).into();
    };
    let Some(fault) = fault else {
        return good_reply(shared, request, &object).into();
    };
    let scene = Struck {
        shared,
        request,
        target,
        object: &object,
        recording: &recording,
    };
    fault.carry_out(&scene)
}

/// All that a media fault may need.
#[derive(Clone, Copy)]
pub struct Struck<'a> {
    pub shared: &'a Shared,
    pub request: &'a Request,
    pub target: &'a Target,
    pub object: &'a Arc<Object>,
    pub recording: &'a Recording,
}

impl Struck<'_> {
    /// What would have been replied.
    pub fn good_reply(&self) -> Reply {
        good_reply(self.shared, self.request, self.object)
    }

    /// What would have been replied had the request not been bound to an `ETag`.
    pub fn without_condition(&self) -> Reply {
        let part = self
            .request
            .header("range")
            .map_or(Part::Whole, |range| Part::read(range, self.object.len_bytes()));
        part_reply(self.shared, self.object, &part)
    }

    /// The whole object, as if no part had been asked for.
    pub fn whole(&self) -> Reply {
        object_reply(self.shared, self.object, None)
    }
}

fn good_reply(shared: &Shared, request: &Request, object: &Arc<Object>) -> Reply {
    if let Some(wanted) = request.header("if-match") {
        let etag = object.etag().unwrap_or_default();
        if !wanted.split(',').any(|one| one.trim() == "*" || one.trim() == etag) {
            let message = "At least one of the pre-conditions you specified did not hold";
            return s3_error(412, "PreconditionFailed", message, "<Condition>If-Match</Condition>");
        }
    }
    let part = request
        .header("range")
        .map_or(Part::Whole, |range| Part::read(range, object.len_bytes()));
    part_reply(shared, object, &part)
}

fn part_reply(shared: &Shared, object: &Arc<Object>, part: &Part) -> Reply {
    match *part {
        Part::Whole => object_reply(shared, object, None),
        Part::Bytes { first, last } => object_reply(shared, object, Some((first, last))),
        Part::Unsatisfiable => {
            let length = object.len_bytes();
            let extra = format!("<ActualObjectSize>{length}</ActualObjectSize>");
            s3_error(416, "InvalidRange", "The requested range is not satisfiable", &extra)
                .header("Content-Range", format!("bytes */{length}"))
        }
    }
}

fn object_reply(shared: &Shared, object: &Arc<Object>, part: Option<(u64, u64)>) -> Reply {
    let throttle = *shared.throttle.lock().unwrap();
    let mut reply = match part {
        None => Reply::new(200, Body::whole(Arc::clone(object))),
        Some((first, last)) => {
            let len_bytes = last - first + 1;
            Reply::new(
                206,
                Body::Object {
                    object: Arc::clone(object),
                    start: first,
                    len_bytes,
                    flip: None,
                },
            )
            .header("Content-Range", format!("bytes {first}-{last}/{}", object.len_bytes()))
        }
    };
    reply.pace.before_head = throttle.media_delay;
    reply.pace.bytes_per_second = throttle.media_bytes_per_second;
    reply.set_header("ETag", object.etag());
    reply
        .header("Accept-Ranges", "bytes")
        .header("Content-Type", "audio/mpeg")
        .header("Last-Modified", shared.started.clone())
        .header("x-amz-server-side-encryption", object.encryption())
}

/// What of an object a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Bytes { first: u64, last: u64 },
    Unsatisfiable,
}

impl Part {
    /// S3 takes one range; a header it cannot read it ignores.
    fn read(header: &str, length: u64) -> Self {
        let bounds = header.strip_prefix("bytes=").and_then(|range| range.split_once('-'));
        let (first, last) = match bounds {
            Some(("", suffix)) => match suffix.parse::<u64>() {
                Ok(suffix) if suffix > 0 && length > 0 => (length.saturating_sub(suffix), length - 1),
                Ok(_) => return Self::Unsatisfiable,
                Err(_) => return Self::Whole,
            },
            Some((first, "")) => match first.parse() {
                Ok(first) => (first, length.saturating_sub(1)),
                Err(_) => return Self::Whole,
            },
            Some((first, last)) => match (first.parse::<u64>(), last.parse::<u64>()) {
                (Ok(first), Ok(last)) if first <= last => (first, last.min(length.saturating_sub(1))),
                _ => return Self::Whole,
            },
            None => return Self::Whole,
        };
        if first < length {
            Self::Bytes { first, last }
        } else {
            Self::Unsatisfiable
        }
    }
}

fn missing(shared: &Shared) -> Reply {
    match shared.options.missing_media {
        MissingMedia::NoSuchKey => s3_error(404, "NoSuchKey", "The specified key does not exist.", ""),
        MissingMedia::AccessDenied => s3_error(403, "AccessDenied", "Access Denied", ""),
    }
}

fn refused(shared: &Shared, refusal: &Refusal) -> Reply {
    match refusal {
        Refusal::TwoAuths => {
            let message = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query \
                           string parameter or the Authorization header should be specified";
            s3_error(
                400,
                "InvalidArgument",
                message,
                "<ArgumentName>Authorization</ArgumentName>",
            )
        }
        Refusal::Unsigned => s3_error(403, "AccessDenied", "Access Denied", ""),
        Refusal::BadQuery(name) => {
            let message = format!("Query-string authentication version 4 requires a valid {name} parameter");
            s3_error(400, "AuthorizationQueryParametersError", &message, "")
        }
        Refusal::Expired {
            life_seconds,
            expired_at,
            now,
        } => {
            let extra = format!(
                "<X-Amz-Expires>{life_seconds}</X-Amz-Expires><Expires>{}</Expires><ServerTime>{}</ServerTime>",
                iso_seconds(*expired_at),
                iso_seconds(*now)
            );
            s3_error(403, "AccessDenied", "Request has expired", &extra)
        }
        Refusal::NotYetValid => s3_error(403, "AccessDenied", "Request is not valid yet", ""),
        Refusal::HeadersNotSigned(names) => {
            let extra = format!("<HeadersNotSigned>{}</HeadersNotSigned>", names.join(", "));
            s3_error(
                403,
                "AccessDenied",
                "There were headers present in the request which were not signed",
                &extra,
            )
        }
        Refusal::Mismatch => {
            let message = "The request signature we calculated does not match the signature you provided. \
                           Check your key and signing method.";
            let key = shared.signer.secrets()[0].1;
            s3_error(
                403,
                "SignatureDoesNotMatch",
                message,
                &format!("<AWSAccessKeyId>{key}</AWSAccessKeyId>"),
            )
        }
    }
}

/// An error as S3 writes it; `extra` is more XML inside of it.
pub fn s3_error(status: u16, code: &str, message: &str, extra: &str) -> Reply {
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>{extra}\
         <RequestId>4442587FB7D0A2F9</RequestId><HostId>vlR7PnpV2Ce81l0PRw6jlUpck7Jo5ZsQ</HostId></Error>"
    );
    Reply::typed(status, "application/xml", xml)
}
