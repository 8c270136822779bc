//! The JSON file beside each body: what upstream said of the recording, and what we say of the body.
//!
//! One object. Our members come first, then upstream's at the same level, their order and their text as they were. Where
//! upstream uses one of our names, its object stands whole as the member `upstream`. Must not know: files.

use std::fmt;
use std::fmt::Write;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::DeserializeOwned;
use serde::de::MapAccess;
use serde::de::Visitor;
use serde_json::value::RawValue;

use crate::domain::clock::Timestamp;
use crate::domain::digest::Sha256Digest;
use crate::domain::ids::RecordingId;
use crate::domain::ids::WorkspaceName;
use crate::domain::recording::History;
use crate::domain::recording::MOST_METADATA_VERSIONS;
use crate::domain::recording::MetadataVersion;

/// The names that are ours; `upstream` holds what upstream says under one of them.
const OUR_NAMES: [&str; 14] = [
    "workspace",
    "workspace_id",
    "created_at",
    "first_seen_at",
    "attempts",
    "metadata_versions",
    "sha256",
    "size_bytes",
    "content_type",
    "etag",
    "archived_at",
    "archiver_version",
    "remark",
    UPSTREAM,
];
const UPSTREAM: &str = "upstream";

/// Far more members than an object of the greatest length that is archived can have.
const MOST_MEMBERS: usize = 200_000;

/// What a sidecar says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sidecar {
    /// The workspace of the recording.
    pub workspace: WorkspaceName,
    /// SHA-256 of the body.
    pub sha256: Sha256Digest,
    /// Length of the body in bytes.
    pub size_bytes: u64,
    /// The media host's `Content-Type`, verbatim.
    pub content_type: Option<String>,
    /// The media host's `ETag`, verbatim, quotes included.
    pub etag: Option<String>,
    /// When the body was archived, by our clock.
    pub archived_at: Timestamp,
    /// The version of the program that wrote it.
    pub archiver_version: String,
    /// Something an operator may want to look at.
    pub remark: Option<String>,
    /// What the catalog knew besides; `None` in one that does not say it.
    pub history: Option<History>,
    /// Upstream's object. Read back, it has no white space between its outermost members.
    pub metadata: String,
}

/// Text that is not a sidecar, or cannot become part of one. Nothing of the text is repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSidecar {
    /// Not one JSON object.
    #[error("not a JSON object (line {line}, column {column})")]
    Syntax {
        /// Line of the fault, from one.
        line: usize,
        /// Column of the fault, from one.
        column: usize,
    },
    /// A member of ours is missing, there twice, or not what it should be.
    #[error("its member {0} is missing, repeated or malformed")]
    Member(&'static str),
}

impl Sidecar {
    /// The id upstream gives the recording, where it is one.
    #[must_use]
    pub fn recording_id(&self) -> Option<RecordingId> {
        let members = members(&self.metadata).ok()?;
        let id = members.iter().rev().find(|member| member.is_named("id"))?;
        serde_json::from_str::<String>(id.value.get()).ok()?.parse().ok()
    }
}

/// The text of a sidecar.
///
/// # Errors
/// When `metadata` is not one JSON object.
pub fn render(sidecar: &Sidecar) -> Result<String, InvalidSidecar> {
    let upstream = members(&sidecar.metadata)?;
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let option = |text: &Option<String>| serde_json::Value::from(text.as_deref()).to_string();
    let mut lines = vec![
        format!("\"workspace\": {}", text(sidecar.workspace.as_str())),
        format!("\"sha256\": \"{}\"", sidecar.sha256),
        format!("\"size_bytes\": {}", sidecar.size_bytes),
        format!("\"content_type\": {}", option(&sidecar.content_type)),
        format!("\"etag\": {}", option(&sidecar.etag)),
        format!("\"archived_at\": \"{}\"", sidecar.archived_at),
        format!("\"archiver_version\": {}", text(&sidecar.archiver_version)),
    ];
    if sidecar.remark.is_some() {
        lines.push(format!("\"remark\": {}", option(&sidecar.remark)));
    }
    if let Some(history) = &sidecar.history {
        lines.extend(history_lines(history)?);
    }
    if upstream.iter().any(Member::is_ours) {
        lines.push(format!("\"{UPSTREAM}\": {}", sidecar.metadata));
    } else {
        lines.extend(
            upstream
                .iter()
                .map(|member| format!("{}: {}", member.name, member.value)),
        );
    }
    Ok(format!("{{\n  {}\n}}\n", lines.join(",\n  ")))
}

fn history_lines(history: &History) -> Result<Vec<String>, InvalidSidecar> {
    let mut lines = vec![
        format!("\"workspace_id\": \"{}\"", history.workspace_id),
        format!("\"created_at\": \"{}\"", history.created_at),
        format!("\"first_seen_at\": \"{}\"", history.first_seen_at),
        format!("\"attempts\": {}", history.attempts),
    ];
    let mut versions = Vec::with_capacity(history.versions.len());
    for version in &history.versions {
        members(&version.metadata)?;
        versions.push(format!(
            "    {{\"superseded_at\": \"{}\", \"metadata\": {}}}",
            version.superseded_at, version.metadata
        ));
    }
    if !versions.is_empty() {
        lines.push(format!("\"metadata_versions\": [\n{}\n  ]", versions.join(",\n")));
    }
    Ok(lines)
}

/// Reads a sidecar.
///
/// # Errors
/// When the text is not one JSON object, or a member of ours is missing, repeated or malformed.
pub fn parse(text: &str) -> Result<Sidecar, InvalidSidecar> {
    let (ours, mut upstream): (Vec<_>, Vec<_>) = members(text)?.into_iter().partition(Member::is_ours);
    let ours = Ours(ours);
    let metadata = match ours.find(UPSTREAM)? {
        Some(whole) => {
            let moved = members(whole.get()).map_err(|_| InvalidSidecar::Member(UPSTREAM))?;
            if upstream.is_empty() {
                whole.get().to_owned()
            } else {
                upstream.extend(moved);
                join(&upstream)
            }
        }
        None => join(&upstream),
    };
    Ok(Sidecar {
        workspace: ours.parsed("workspace")?,
        sha256: ours.parsed("sha256")?,
        size_bytes: ours.read("size_bytes")?,
        content_type: ours.read("content_type")?,
        etag: ours.read("etag")?,
        archived_at: ours.parsed("archived_at")?,
        archiver_version: ours.read("archiver_version")?,
        remark: match ours.find("remark")? {
            Some(_) => ours.read("remark")?,
            None => None,
        },
        history: read_history(&ours)?,
        metadata,
    })
}

/// A version as it stands in a sidecar.
#[derive(Deserialize)]
struct Version<'a> {
    superseded_at: String,
    #[serde(borrow)]
    metadata: &'a RawValue,
}

fn read_history(ours: &Ours<'_>) -> Result<Option<History>, InvalidSidecar> {
    if ours.find("first_seen_at")?.is_none() {
        return Ok(None);
    }
    let malformed = InvalidSidecar::Member("metadata_versions");
    let mut versions = Vec::new();
    if let Some(raw) = ours.find("metadata_versions")? {
        let read: Vec<Version<'_>> = serde_json::from_str(raw.get()).map_err(|_| malformed.clone())?;
        if read.len() > MOST_METADATA_VERSIONS as usize {
            return Err(malformed);
        }
        for version in read {
            members(version.metadata.get()).map_err(|_| malformed.clone())?;
            versions.push(MetadataVersion {
                superseded_at: version.superseded_at.parse().map_err(|_| malformed.clone())?,
                metadata: version.metadata.get().to_owned(),
            });
        }
    }
    Ok(Some(History {
        workspace_id: ours.parsed("workspace_id")?,
        created_at: ours.parsed("created_at")?,
        first_seen_at: ours.parsed("first_seen_at")?,
        attempts: ours.read("attempts")?,
        versions,
    }))
}

/// Our members as read, in any order.
struct Ours<'a>(Vec<Member<'a>>);

impl<'a> Ours<'a> {
    fn find(&self, name: &'static str) -> Result<Option<&'a RawValue>, InvalidSidecar> {
        let mut found = self.0.iter().filter(|member| member.is_named(name));
        match (found.next(), found.next()) {
            (first, None) => Ok(first.map(|member| member.value)),
            _ => Err(InvalidSidecar::Member(name)),
        }
    }

    fn read<T: DeserializeOwned>(&self, name: &'static str) -> Result<T, InvalidSidecar> {
        let value = self.find(name)?.ok_or(InvalidSidecar::Member(name))?;
        serde_json::from_str(value.get()).map_err(|_| InvalidSidecar::Member(name))
    }

    fn parsed<T: std::str::FromStr>(&self, name: &'static str) -> Result<T, InvalidSidecar> {
        self.read::<String>(name)?
            .parse()
            .map_err(|_| InvalidSidecar::Member(name))
    }
}

/// One member of an object, name and value in their own spelling.
struct Member<'a> {
    name: &'a RawValue,
    value: &'a RawValue,
}

impl Member<'_> {
    fn is_named(&self, name: &str) -> bool {
        serde_json::from_str::<String>(self.name.get()).is_ok_and(|own| own == name)
    }

    fn is_ours(&self) -> bool {
        serde_json::from_str::<String>(self.name.get()).is_ok_and(|own| OUR_NAMES.contains(&own.as_str()))
    }
}

fn members(object: &str) -> Result<Vec<Member<'_>>, InvalidSidecar> {
    let Members(members) = serde_json::from_str(object).map_err(|refused| InvalidSidecar::Syntax {
        line: refused.line(),
        column: refused.column(),
    })?;
    Ok(members)
}

fn join(members: &[Member<'_>]) -> String {
    let mut text = "{".to_owned();
    for (at, member) in members.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        // Writing to a String does not fail.
        let _ = write!(text, "{comma}{}:{}", member.name, member.value);
    }
    text.push('}');
    text
}

/// An object's members in their order, repeated names included.
struct Members<'a>(Vec<Member<'a>>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry()? {
                    if members.len() == MOST_MEMBERS {
                        return Err(serde::de::Error::custom("too many members"));
                    }
                    members.push(Member { name, value });
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text() -> impl Strategy<Value = String> {
        prop_oneof!["\\PC{0,12}", "[\\x00-\\x1f\"\\\\/<>&]{0,6}"]
    }

    /// Values whose spelling a number or string type would lose.
    fn raw_value() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("null".to_owned()),
            "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,4})?",
            text().prop_map(|text| serde_json::Value::from(text).to_string()),
            Just("\"\\ud800 \\u0041\\/\"".to_owned()),
            Just("{ \"b\" : [1 , 2.50],\n\t\"a\":{} ,\"a\":1}".to_owned()),
        ]
    }

    fn object(names: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
        let name = names.prop_map(|name| serde_json::Value::from(name).to_string());
        proptest::collection::vec((name, raw_value()), 0..8).prop_map(|members| {
            let members: Vec<_> = members.iter().map(|(name, value)| format!("{name}:{value}")).collect();
            format!("{{{}}}", members.join(","))
        })
    }

    fn history() -> impl Strategy<Value = History> {
        let time = || (0_i64..4_000_000_000_000_000).prop_map(|at| Timestamp::from_microseconds(at).unwrap());
        let version = (time(), object(text())).prop_map(|(superseded_at, metadata)| MetadataVersion {
            superseded_at,
            metadata,
        });
        let versions = proptest::collection::vec(version, 0..3);
        (time(), time(), any::<u32>(), versions).prop_map(|(created_at, first_seen_at, attempts, versions)| History {
            workspace_id: "w-1".parse().unwrap(),
            created_at,
            first_seen_at,
            attempts,
            versions,
        })
    }

    prop_compose! {
        fn sidecar(metadata: BoxedStrategy<String>)(
            metadata in metadata, sha256 in any::<[u8; 32]>(), size_bytes in any::<u64>(),
            content_type in proptest::option::of(text()), etag in proptest::option::of(text()),
            remark in proptest::option::of(text()), micros in 0_i64..4_000_000_000_000_000,
            history in proptest::option::of(history()),
        ) -> Sidecar {
            Sidecar {
                workspace: "support".parse().unwrap(),
                sha256: Sha256Digest(sha256),
                size_bytes,
                content_type,
                etag,
                archived_at: Timestamp::from_microseconds(micros).unwrap(),
                archiver_version: "0.1.0".to_owned(),
                remark,
                history,
                metadata,
            }
        }
    }

    proptest! {
        #[test]
        fn what_was_rendered_is_read_back_to_the_letter(
            sidecar in sidecar(object("\\PC{0,9}".prop_filter("ours", |n| !OUR_NAMES.contains(&n.as_str()))).boxed()),
        ) {
            prop_assert_eq!(parse(&render(&sidecar).unwrap()).unwrap(), sidecar);
        }

        #[test]
        fn upstream_members_with_our_names_are_kept_beside(
            sidecar in sidecar(object(proptest::sample::select(&OUR_NAMES[..]).prop_map(str::to_owned)).boxed()),
        ) {
            prop_assert_eq!(parse(&render(&sidecar).unwrap()).unwrap(), sidecar);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            let _ = parse(&text);
            let _ = parse(&format!("{{\"workspace\":\"a\",{text}}}"));
        }
    }

    #[test]
    fn a_sidecar_reads_as_the_layout_says() {
        let sidecar = Sidecar {
            workspace: "support".parse().unwrap(),
            sha256: Sha256Digest([0xab; 32]),
            size_bytes: 64_000,
            content_type: Some("audio/mpeg".to_owned()),
            etag: Some("\"x\"".to_owned()),
            archived_at: "2026-03-01T10:00:00Z".parse().unwrap(),
            archiver_version: "0.1.0".to_owned(),
            remark: None,
            history: Some(History {
                workspace_id: "8bc02f53".parse().unwrap(),
                created_at: "2026-03-01T08:00:00Z".parse().unwrap(),
                first_seen_at: "2026-03-01T09:00:00Z".parse().unwrap(),
                attempts: 1,
                versions: vec![MetadataVersion {
                    superseded_at: "2026-03-02T00:00:00Z".parse().unwrap(),
                    metadata: r#"{"id":1}"#.to_owned(),
                }],
            }),
            metadata: r#"{ "id" : "5b74ee9e-9d45-473a-82cd-f1f7feea6bbd", "duration": 1.50, "etag": 7 }"#.to_owned(),
        };
        let text = render(&sidecar).unwrap();
        let sha256 = "ab".repeat(32);
        assert_eq!(
            text,
            format!(
                r#"{{
  "workspace": "support",
  "sha256": "{sha256}",
  "size_bytes": 64000,
  "content_type": "audio/mpeg",
  "etag": "\"x\"",
  "archived_at": "2026-03-01T10:00:00Z",
  "archiver_version": "0.1.0",
  "workspace_id": "8bc02f53",
  "created_at": "2026-03-01T08:00:00Z",
  "first_seen_at": "2026-03-01T09:00:00Z",
  "attempts": 1,
  "metadata_versions": [
    {{"superseded_at": "2026-03-02T00:00:00Z", "metadata": {{"id":1}}}}
  ],
  "upstream": {{ "id" : "5b74ee9e-9d45-473a-82cd-f1f7feea6bbd", "duration": 1.50, "etag": 7 }}
}}
"#
            )
        );
        let id = "5b74ee9e-9d45-473a-82cd-f1f7feea6bbd".parse().unwrap();
        assert_eq!(parse(&text).unwrap().recording_id(), Some(id));
        for (bad, why) in [
            ("", InvalidSidecar::Syntax { line: 1, column: 0 }),
            ("{}", InvalidSidecar::Member("workspace")),
            (&text.replace("64000", "-1"), InvalidSidecar::Member("size_bytes")),
            (
                &text.replace("\"attempts\"", "\"sha256\""),
                InvalidSidecar::Member("sha256"),
            ),
        ] {
            assert_eq!(parse(bad), Err(why));
        }
        assert!(
            render(&Sidecar {
                metadata: "[1]".to_owned(),
                ..sidecar
            })
            .is_err()
        );
    }
}
