//! The closed sets of words by which things are counted. Their texts are stable: dashboards and alerts name them.
//!
//! Must not know: what a word is used for.

/// Gives a set of words their stable texts and a list of all, in order.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $word:ident = $text:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$doc])* $word,)+
        }

        impl $name {
            /// Every word.
            pub const ALL: [Self; [$($text),+].len()] = [$(Self::$word),+];

            /// The stable text.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$word => $text,)+
                }
            }
        }
    };
}

words! {
    /// How one request to the API ended; each try counts.
    ApiOutcome {
        /// A 200 of the documented shape.
        Ok = "ok",
        /// 401 or 403.
        Denied = "denied",
        /// 404.
        NotFound = "not_found",
        /// 429.
        RateLimited = "rate_limited",
        /// 5xx, a timeout, a broken connection.
        Unavailable = "unavailable",
        /// Something else than what is documented.
        Malformed = "malformed",
        /// Another 4xx.
        Refused = "refused",
    }
}

words! {
    /// How a walk ended.
    WalkEnd {
        /// At the end of the list.
        Complete = "complete",
        /// It was asked to stop.
        Stopped = "stopped",
        /// Otherwise.
        Failed = "failed",
    }
}

words! {
    /// What a download came to.
    DownloadOutcome {
        /// Stored and synced.
        Archived = "archived",
        /// Failed; tried again soon.
        Failed = "failed",
        /// Failed, and the attempts are spent; tried again once a day.
        GivenUp = "given_up",
        /// Upstream has no media.
        Gone = "gone",
        /// Given back without a result, which counts no attempt.
        Released = "released",
    }
}

words! {
    /// Why a download came to nothing.
    Cause {
        /// It did not: it is archived.
        None = "none",
        /// The media host answered 4xx.
        HttpStatus4xx = "http_status_4xx",
        /// The media host answered 5xx.
        HttpStatus5xx = "http_status_5xx",
        /// The media host answered with another status that brings no body.
        HttpStatusOther = "http_status_other",
        /// Nothing came, or too little, for too long.
        Timeout = "timeout",
        /// The connection could not be made, or broke.
        Connection = "connection",
        /// The body is not as long as it should be, or its end cannot be told.
        Length = "length",
        /// The body is longer than `download.max_bytes`.
        TooLarge = "too_large",
        /// What came is not what the recording should be, by its headers or its first bytes.
        Type = "type",
        /// The bytes are not those that the media host has.
        Digest = "digest",
        /// The link, or a redirect, leads to a host or an address that is not allowed.
        RefusedHost = "refused_host",
        /// No link could be had: the API does not answer, or does not give one.
        NoLink = "no_link",
        /// Links ran out, one after the other.
        LinkExpired = "link_expired",
        /// The credential does not open the recording.
        Denied = "denied",
        /// Upstream has no media for it, or does not know it.
        Gone = "gone",
        /// Something else stands at its name in the archive.
        Conflict = "conflict",
        /// This machine's disk, or another of its limits.
        Local = "local",
        /// We were asked to stop.
        Stopped = "stopped",
        /// A fault in birdkeep.
        Internal = "internal",
    }
}
