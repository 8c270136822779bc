//! AWS Signature Version 4 in a query: signing links, and judging them as S3 does.
//!
//! Must not know: what a link leads to.

use std::collections::HashSet;
use std::sync::Mutex;

use birdkeep::domain::clock::Timestamp;
use hmac::Hmac;
use hmac::KeyInit as _;
use hmac::Mac as _;
use sha2::Digest as _;
use sha2::Sha256;

use super::super::random::Random;
use super::body::hex;
use super::http::Request;
use super::http::percent_decode;
use super::http::percent_encode;
use super::time::ServerClock;
use super::time::Stamp;

const REGION: &str = "eu-west-1";
const TOKEN_CHARS: usize = 1024;
/// A link from further in the future than this is refused.
const SKEW_SECONDS: i64 = 15 * 60;
/// Signatures remembered, so that a test can look for them where they must not be.
const REMEMBERED: usize = 500_000;

/// Temporary credentials, and every signature made with them.
#[derive(Debug)]
pub struct Signer {
    host: String,
    access_key_id: String,
    secret: String,
    session_token: String,
    session_token_encoded: String,
    signed_headers: &'static str,
    key_of_day: Mutex<(String, [u8; 32])>,
    signatures: Mutex<HashSet<String>>,
}

/// Why S3 refuses a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Two authorisations at once.
    TwoAuths,
    /// Not signed at all.
    Unsigned,
    /// A member of the query is missing or unreadable.
    BadQuery(&'static str),
    /// Past its time.
    Expired {
        life_seconds: i64,
        expired_at: Timestamp,
        now: Timestamp,
    },
    /// Before its time.
    NotYetValid,
    /// `x-amz-*` headers that the signature does not cover.
    HeadersNotSigned(Vec<String>),
    /// The signature does not fit the request.
    Mismatch,
}

impl Signer {
    /// Credentials of a server, the same for the same seed. With `checksum_mode`, links demand the header
    /// `x-amz-checksum-mode`, as those of one release of AWS's Go library did.
    pub fn new(seed: u64, host: String, checksum_mode: bool) -> Self {
        const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut random = Random::new(seed ^ 0x5161);
        let session_token = format!("IQoJb3JpZ2luX2VjE{}==", random.text(BASE64, TOKEN_CHARS - 19));
        Self {
            host,
            access_key_id: format!("ASIA{}", random.text(UPPER, 16)),
            secret: random.text(BASE64, 40),
            session_token_encoded: percent_encode(session_token.as_bytes(), false),
            session_token,
            signed_headers: if checksum_mode {
                "host;x-amz-checksum-mode"
            } else {
                "host"
            },
            key_of_day: Mutex::default(),
            signatures: Mutex::default(),
        }
    }

    /// A link to a path (encoded, with its leading slash), valid from `at` on.
    pub fn presign(&self, path: &str, at: &Stamp, life_seconds: u64, operation: &str) -> String {
        let date = &at.amz;
        let query_before = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}%2F{}%2F{REGION}%2Fs3%2Faws4_request&X-Amz-Date={date}\
             &X-Amz-Expires={life_seconds}&X-Amz-Security-Token={}",
            self.access_key_id,
            &date[..8],
            self.session_token_encoded,
        );
        let signed = self.signed_headers.replace(';', "%3B");
        let query_after = format!("X-Amz-SignedHeaders={signed}&x-id={operation}");
        let mut headers = format!("host:{}\n", self.host);
        if self.signed_headers.contains(';') {
            headers.push_str("x-amz-checksum-mode:ENABLED\n");
        }
        let canonical = format!(
            "GET\n{path}\n{query_before}&{query_after}\n{headers}\n{}\nUNSIGNED-PAYLOAD",
            self.signed_headers
        );
        let signature = self.signature(date, &canonical);
        let link = format!(
            "http://{}{path}?{query_before}&X-Amz-Signature={signature}&{query_after}",
            self.host
        );
        let mut signatures = self.signatures.lock().unwrap();
        if signatures.len() < REMEMBERED {
            signatures.insert(signature);
        }
        link
    }

    /// Judges a request as S3 does when it begins: a transfer that is under way outlives its link.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn judge(&self, request: &Request, clock: &ServerClock) -> Result<(), Refusal> {
        let mut query: Vec<(String, String)> = request
            .query()
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        let member = |name: &'static str| {
            query
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.clone())
                .ok_or(Refusal::BadQuery(name))
        };
        let signature = member("X-Amz-Signature").map_err(|_| Refusal::Unsigned)?;
        if request.header("authorization").is_some() {
            return Err(Refusal::TwoAuths);
        }
        let date = member("X-Amz-Date")?;
        judge_time(&date, &member("X-Amz-Expires")?, clock.now())?;
        let signed_headers = member("X-Amz-SignedHeaders")?;
        let not_signed: Vec<String> = request
            .headers()
            .map(|(name, _)| name)
            .filter(|name| name.starts_with("x-amz-") && !signed_headers.split(';').any(|signed| signed == *name))
            .map(str::to_owned)
            .collect();
        if !not_signed.is_empty() {
            return Err(Refusal::HeadersNotSigned(not_signed));
        }
        query.retain(|(name, _)| name != "X-Amz-Signature");
        query.sort();
        let canonical_query: Vec<String> = query
            .iter()
            .map(|(name, value)| {
                format!(
                    "{}={}",
                    percent_encode(name.as_bytes(), false),
                    percent_encode(value.as_bytes(), false)
                )
            })
            .collect();
        let mut canonical_headers = String::new();
        for name in signed_headers.split(';') {
            canonical_headers.extend([name, ":", request.header(name).unwrap_or("").trim(), "\n"]);
        }
        let canonical = format!(
            "{}\n{}\n{}\n{canonical_headers}\n{signed_headers}\nUNSIGNED-PAYLOAD",
            request.method,
            percent_encode(&percent_decode(request.path()), true),
            canonical_query.join("&"),
        );
        if self.signature(&date, &canonical) == signature {
            Ok(())
        } else {
            Err(Refusal::Mismatch)
        }
    }

    /// What must never be found outside: access key id, secret and session token, plain and encoded.
    pub fn secrets(&self) -> [(&'static str, &str); 4] {
        [
            ("X-Amz-Credential", &self.access_key_id),
            ("AWS secret", &self.secret),
            ("X-Amz-Security-Token", &self.session_token),
            ("X-Amz-Security-Token, encoded", &self.session_token_encoded),
        ]
    }

    /// All signatures made so far, up to half a million.
    pub fn signatures(&self) -> Vec<String> {
        self.signatures.lock().unwrap().iter().cloned().collect()
    }

    fn signature(&self, date: &str, canonical: &str) -> String {
        let day = date.get(..8).unwrap_or(date);
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{date}\n{day}/{REGION}/s3/aws4_request\n{}",
            hex(&Sha256::digest(canonical.as_bytes()))
        );
        hex(&hmac(&self.signing_key(day), to_sign.as_bytes()))
    }

    fn signing_key(&self, day: &str) -> [u8; 32] {
        let mut cached = self.key_of_day.lock().unwrap();
        if cached.0 != day {
            let key = hmac(format!("AWS4{}", self.secret).as_bytes(), day.as_bytes());
            let key = hmac(&key, REGION.as_bytes());
            let key = hmac(&key, b"s3");
            *cached = (day.to_owned(), hmac(&key, b"aws4_request"));
        }
        cached.1
    }
}

fn judge_time(date: &str, life: &str, now: Timestamp) -> Result<(), Refusal> {
    let signed_at = Timestamp::from_amz_date(date)
        .ok_or(Refusal::BadQuery("X-Amz-Date"))?
        .as_microseconds();
    let life_seconds: i64 = life
        .parse()
        .ok()
        .filter(|life| (0..=604_800).contains(life))
        .ok_or(Refusal::BadQuery("X-Amz-Expires"))?;
    let expired_at = signed_at + life_seconds * 1_000_000;
    if now.as_microseconds() >= expired_at {
        let expired_at = Timestamp::from_microseconds(expired_at).unwrap_or(now);
        return Err(Refusal::Expired {
            life_seconds,
            expired_at,
            now,
        });
    }
    if signed_at > now.as_microseconds() + SKEW_SECONDS * 1_000_000 {
        return Err(Refusal::NotYetValid);
    }
    Ok(())
}

/// HMAC-SHA256.
pub fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}
