//! What one object of a listing means: its members into a recording, the required ones strictly, the others leniently.
//!
//! Must not know: pages, links, how large an object may be.

use serde_json::Value;
use serde_json::value::RawValue;

use super::members::Members;
use crate::domain::clock::Timestamp;
use crate::domain::recording::Recording;
use crate::domain::recording::Status;
use crate::domain::redact::blank_signed_links;

/// The longest text taken from a member that is shown, in characters.
pub(super) const LONGEST_TEXT: usize = 200;

/// Reads an item as it was kept: as a listing showed it, without its link.
///
/// # Errors
/// Why it cannot be understood, in words.
pub fn read_stored(text: &str) -> Result<Recording, String> {
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    let members = Members::parse(raw).map_err(|why| format!("not an object: {why}"))?;
    understand(&members)
}

/// Reads an object.
///
/// # Errors
/// Why it cannot be understood, in words.
pub(super) fn understand(members: &Members<'_>) -> Result<Recording, String> {
    let required = |name: &str| {
        members.text(name).ok_or_else(|| match members.get(name) {
            None => format!("{name} is missing"),
            Some(_) => format!("{name} is not a text"),
        })
    };
    let id = required("id")?.parse().map_err(|error| format!("id is {error}"))?;
    let status = required("status")?;
    if status.is_empty() || status.chars().count() > LONGEST_TEXT {
        return Err("status is empty or absurdly long".to_owned());
    }
    Ok(Recording {
        id,
        status: Status::from_upstream(&blank_signed_links(&status)),
        created_at: created_at(members, &required("createdAt")?)?,
        direction: short(members.text("direction")),
        from: members.get("originator").and_then(party_number),
        to: members.get("receiver").and_then(party_number),
        duration_seconds: members
            .get("duration")
            .and_then(|raw| serde_json::from_str(raw.get()).ok()),
        format: short(members.text("format")).unwrap_or_default(),
        metadata: members.to_text_without("url"),
    })
}

/// `createdAt`; where that is Go's zero time, the first of the other times that is not.
fn created_at(members: &Members<'_>, text: &str) -> Result<Timestamp, String> {
    let created: Timestamp = text.parse().map_err(|error| format!("createdAt is {error}"))?;
    if !created.is_unset() {
        return Ok(created);
    }
    ["startedAt", "endedAt", "updatedAt"]
        .into_iter()
        .filter_map(|name| members.text(name)?.parse().ok())
        .find(|time: &Timestamp| !time.is_unset())
        .ok_or_else(|| "createdAt is unset and no other time is given".to_owned())
}

/// A party's number: the international spelling where upstream gives one (`identity`, or a contact known by its
/// phone number), else the bare number.
fn party_number(raw: &RawValue) -> Option<String> {
    let party: Value = serde_json::from_str(raw.get()).ok()?;
    let text = |pointer: &str| party.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let contact = || {
        let by_phone = text("/contact/identifierKey").as_deref() == Some("phonenumber");
        by_phone.then(|| text("/contact/identifierValue")).flatten()
    };
    short(
        text("/number/identity")
            .or_else(contact)
            .or_else(|| text("/number/number")),
    )
}

fn short(text: Option<String>) -> Option<String> {
    let fits = |text: &String| !text.is_empty() && text.chars().count() <= LONGEST_TEXT;
    text.filter(fits).map(|text| blank_signed_links(&text).into_owned())
}
