//! The API's host: lists, items, redirects to media, metrics, deletion; strict about keys, paths and queries.
//!
//! Must not know: the bucket, or how bytes are sent.

use birdkeep::domain::ids::RecordingId;

use super::Shared;
use super::api_fault::ApiAction;
use super::api_fault::error_json;
use super::body::Body;
use super::fault::Occasion;
use super::fault::Scene;
use super::http::Request;
use super::http::percent_decode;
use super::list::Draft;
use super::list::MAX_LIMIT;
use super::list::Query;
use super::reply::Answer;
use super::reply::Reply;
use super::seen::RequestKind;
use super::time::iso_milliseconds;
use super::world::Access;

/// What a path of the API leads to.
enum Route {
    List,
    Item(RecordingId),
    Delete(RecordingId),
    MediaLink(RecordingId),
    Metrics,
    Nowhere,
}

/// Answers one request to the API's host.
pub fn answer(shared: &Shared, request: &Request) -> Answer {
    let (workspace, route) = route(&request.method, request.path());
    let query = matches!(route, Route::List).then(|| Query::read(request, shared));
    let page = query
        .as_ref()
        .map(|query| query.as_ref().map_or(1, |query| query.place.page));
    let occasion = occasion(&workspace, &route, page);
    let fault = shared.faults.api(&occasion);
    let mut answer = match fault.as_ref().and_then(ApiAction::instead) {
        Some(answer) => answer,
        None => good_reply(shared, request, &workspace, &route, query, fault.as_ref()).into(),
    };
    if let Some(reply) = answer.reply_mut() {
        reply.set_header("Date", Some(shared.clock.stamp().http.clone()));
        reply.pace.before_head = shared.throttle.lock().unwrap().api_delay;
        if let Some(fault) = &fault {
            fault.spoil_reply(reply);
        }
    }
    let kind = kind(request, workspace, &route, page.unwrap_or(1));
    shared.seen.note(shared.clock.now(), kind, request, answer.status());
    answer
}

fn good_reply(
    shared: &Shared,
    request: &Request,
    workspace: &str,
    route: &Route,
    query: Option<Result<Query, String>>,
    fault: Option<&ApiAction>,
) -> Reply {
    if let Some(refused) = refusal(shared, request, workspace, route) {
        return refused;
    }
    match (route, query) {
        (Route::List, Some(Ok(query))) => {
            let mut draft = Draft::of(shared, workspace, query);
            if let Some(fault) = fault {
                fault.spoil_list(&mut draft);
            }
            Reply::new(200, draft.into_body(shared)).header("Content-Type", "application/json")
        }
        (Route::List, Some(Err(why))) => error(422, "InvalidParameter", &why),
        (Route::Item(id), _) => item(shared, workspace, *id),
        (Route::Delete(id), _) => delete(shared, workspace, *id),
        (Route::MediaLink(id), _) => media_link(shared, workspace, *id),
        (Route::Metrics, _) => metrics(shared, request, workspace),
        (Route::List | Route::Nowhere, _) => error(404, "NotFound", "no such path"),
    }
}

fn route(method: &str, path: &str) -> (String, Route) {
    let parts: Vec<String> = path
        .split('/')
        .skip(1)
        .map(|part| String::from_utf8_lossy(&percent_decode(part)).into_owned())
        .collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let route = match parts[..] {
        ["workspaces", _, "recordings"] => Route::List,
        ["workspaces", _, "recording-metrics"] => Route::Metrics,
        ["workspaces", _, "recordings", name] => match name.strip_suffix(".mp3") {
            Some(id) => id.parse().map_or(Route::Nowhere, Route::MediaLink),
            None if method == "DELETE" => name.parse().map_or(Route::Nowhere, Route::Delete),
            None => name.parse().map_or(Route::Nowhere, Route::Item),
        },
        _ => Route::Nowhere,
    };
    let workspace = match parts[..] {
        ["workspaces", workspace, ..] => workspace.to_owned(),
        _ => String::new(),
    };
    (workspace, route)
}

fn occasion<'a>(workspace: &'a str, route: &Route, page: Option<u32>) -> Occasion<'a> {
    let (scene, recording) = match route {
        Route::List => (Scene::List, None),
        Route::Item(id) => (Scene::Item, Some(*id)),
        Route::MediaLink(id) => (Scene::MediaLink, Some(*id)),
        Route::Delete(id) => (Scene::OtherApi, Some(*id)),
        Route::Metrics | Route::Nowhere => (Scene::OtherApi, None),
    };
    Occasion {
        scene,
        workspace,
        recording,
        page,
        ranged: false,
        redirected: false,
    }
}

fn kind(request: &Request, workspace: String, route: &Route, page: u32) -> RequestKind {
    let member = |wanted: &str| {
        request
            .query()
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.into_owned())
    };
    match route {
        Route::List => RequestKind::List {
            workspace,
            page,
            limit: member("limit"),
            token: member("pageToken"),
            start_at: member("startAt"),
            end_at: member("endAt"),
            status: member("status"),
        },
        Route::Item(id) => RequestKind::Item { workspace, id: *id },
        Route::Delete(id) => RequestKind::Delete { workspace, id: *id },
        Route::MediaLink(id) => RequestKind::MediaLink { workspace, id: *id },
        Route::Metrics => RequestKind::Metrics { workspace },
        Route::Nowhere => RequestKind::Other {
            path: request.path().to_owned(),
        },
    }
}

/// Why a request is not answered at all, if so.
fn refusal(shared: &Shared, request: &Request, workspace: &str, route: &Route) -> Option<Reply> {
    let (access, allowed) = {
        let world = shared.world.lock().unwrap();
        let rights = world.workspaces.get(workspace).map(|workspace| workspace.rights);
        let allowed = rights.is_none_or(|rights| match route {
            Route::List => rights.list,
            Route::Item(_) | Route::MediaLink(_) => rights.item,
            Route::Metrics => rights.metrics,
            Route::Delete(_) => rights.delete,
            Route::Nowhere => true,
        });
        (world.access(workspace, request.header("authorization")), allowed)
    };
    match access {
        Access::Unknown => Some(error(401, "Unauthorized", "the access key is missing or not known")),
        Access::Forbidden => Some(error(403, "Forbidden", "the access key does not allow this")),
        Access::NoSuchWorkspace => Some(error(404, "NotFound", "no such workspace")),
        Access::Granted if request.method != "GET" && !matches!(route, Route::Delete(_)) => {
            Some(error(405, "MethodNotAllowed", "only GET is known here").header("Allow", "GET"))
        }
        Access::Granted if !allowed => Some(error(403, "Forbidden", "the access key does not allow this")),
        Access::Granted if !shared.admit(workspace) => {
            Some(error(429, "TooManyRequests", "slow down").header("Retry-After", "1"))
        }
        Access::Granted => None,
    }
}

fn item(shared: &Shared, workspace: &str, id: RecordingId) -> Reply {
    let recording = shared.world.lock().unwrap().recording(workspace, id);
    let Some(recording) = recording else {
        return error(404, "NotFound", "no such recording");
    };
    let mut json = Vec::with_capacity(4096);
    recording.write_json(shared.link(workspace, &recording).as_ref(), &mut json);
    Reply::new(200, Body::Bytes(json.into())).header("Content-Type", "application/json")
}

/// Deletes the media: what becomes of the metadata is not documented, and `absent` is the only status that fits.
fn delete(shared: &Shared, workspace: &str, id: RecordingId) -> Reply {
    let now = iso_milliseconds(shared.clock.now());
    let mut world = shared.world.lock().unwrap();
    let found = world.workspaces.get_mut(workspace).is_some_and(|workspace| {
        workspace.change(id, |recording| {
            recording.object = None;
            recording.members.insert("status".to_owned(), "absent".into());
            recording.members.insert("updatedAt".to_owned(), now.into());
        })
    });
    if found {
        Reply::new(204, Body::empty())
    } else {
        error(404, "NotFound", "no such recording")
    }
}

fn media_link(shared: &Shared, workspace: &str, id: RecordingId) -> Reply {
    let recording = shared.world.lock().unwrap().recording(workspace, id);
    match recording.and_then(|recording| shared.link(workspace, &recording)) {
        Some(link) => Reply::new(307, Body::empty()).header("Location", link.into_text()),
        None => error(404, "NotFound", "no such recording, or no media"),
    }
}

/// Counts what is stored, deleted media left out. One object is one page: there is no token to be had, so none is valid.
fn metrics(shared: &Shared, request: &Request, workspace: &str) -> Reply {
    let mut source = None;
    for (name, value) in request.query() {
        let wrong = match name.as_ref() {
            "limit" if value.parse().is_ok_and(|limit| (1..=MAX_LIMIT).contains(&limit)) => None,
            "limit" => Some("limit must be 1 to 99"),
            "pageToken" => Some("pageToken is not valid"),
            "sourceId" if value.parse::<RecordingId>().is_ok() => {
                source = Some(value.into_owned());
                None
            }
            "sourceId" => Some("sourceId is not a UUID"),
            _ => Some("no such parameter"),
        };
        if let Some(wrong) = wrong {
            return error(422, "InvalidParameter", wrong);
        }
    }
    let (counter, duration) = {
        let world = shared.world.lock().unwrap();
        let recordings = world.workspaces[workspace].all().filter(|recording| {
            let wanted = source.is_none() || recording.text("sourceId") == source.as_deref();
            wanted && recording.is_available() && recording.object.is_some()
        });
        recordings.fold((0, 0), |(counter, duration), recording| {
            let seconds = recording.members.get("duration").and_then(serde_json::Value::as_u64);
            (counter + 1, duration + seconds.unwrap_or(0))
        })
    };
    let json = serde_json::json!({
        "counter": counter,
        "duration": duration,
        "dailyStorageUsage": {},
        "updatedAt": iso_milliseconds(shared.clock.now()),
    });
    Reply::typed(200, "application/json", json.to_string())
}

fn error(status: u16, code: &str, message: &str) -> Reply {
    Reply::typed(status, "application/json", error_json(code, message))
}
