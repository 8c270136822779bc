//! Many that one outage hits speak with one voice: the first one tells of it, and of its end.
//!
//! Nobody stays silent for long: who is in trouble on its own, or still is after the others are well, tells of it. Must
//! not know: what the trouble is.

use std::time::Duration;
use std::time::Instant;

/// What begins within this time of a trouble, or lasts for no longer after its end, is taken for the same one.
const SAME_TROUBLE: Duration = Duration::from_secs(120);

/// Who tells of the outage at hand, or of the last one.
#[derive(Debug)]
pub struct OneVoice<Who> {
    speaker: Option<Speaker<Who>>,
}

#[derive(Debug)]
struct Speaker<Who> {
    who: Who,
    since: Instant,
    ended: Option<Instant>,
}

impl<Who> Default for OneVoice<Who> {
    fn default() -> Self {
        Self { speaker: None }
    }
}

impl<Who: PartialEq + Clone> OneVoice<Who> {
    /// Whether `who`, in trouble `since` then and not told of yet, is to tell of it now. To be asked again while it lasts.
    pub fn speaks(&mut self, who: &Who, since: Instant, now: Instant) -> bool {
        let becomes = match &self.speaker {
            None => true,
            Some(speaker) if speaker.who == *who => true,
            Some(Speaker { ended: Some(ended), .. }) => now.saturating_duration_since(*ended) > SAME_TROUBLE,
            // Two troubles at a time that began apart: each has its own voice, whichever came first.
            Some(speaker) => {
                let later = since.saturating_duration_since(speaker.since);
                let earlier = speaker.since.saturating_duration_since(since);
                return later.max(earlier) > SAME_TROUBLE;
            }
        };
        if becomes {
            self.speaker = Some(Speaker {
                who: who.clone(),
                since,
                ended: None,
            });
        }
        becomes
    }

    /// The trouble of `who` is over.
    pub fn ends(&mut self, who: &Who, now: Instant) {
        if let Some(speaker) = self.speaker.as_mut().filter(|speaker| speaker.who == *who) {
            speaker.ended = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_secs(5);

    #[test]
    fn of_many_in_one_outage_one_speaks() {
        let (mut voice, start) = (OneVoice::default(), Instant::now());
        assert!(voice.speaks(&"a", start, start));
        for who in ["b", "c"] {
            assert!(!voice.speaks(&who, start + MOMENT, start + MOMENT));
        }
        voice.ends(&"b", start + 2 * MOMENT);
        assert!(
            !voice.speaks(&"c", start + MOMENT, start + 50 * MOMENT),
            "the first one still does"
        );
        voice.ends(&"a", start + 51 * MOMENT);
        assert!(
            !voice.speaks(&"c", start + MOMENT, start + 52 * MOMENT),
            "its end is about to come here too"
        );
    }

    #[test]
    fn who_stays_in_trouble_or_has_one_of_its_own_is_heard() {
        let (mut voice, start) = (OneVoice::default(), Instant::now());
        assert!(voice.speaks(&"a", start, start));
        let later = start + SAME_TROUBLE + MOMENT;
        assert!(voice.speaks(&"b", later, later), "another trouble");
        voice.ends(&"a", later);
        let long_after = later + SAME_TROUBLE + MOMENT;
        assert!(voice.speaks(&"c", start + MOMENT, long_after), "the others are well");
        assert!(
            voice.speaks(&"c", long_after, long_after),
            "and again when it comes back"
        );
    }

    #[test]
    fn who_is_in_trouble_all_along_is_heard_though_another_flaps() {
        let (mut voice, start) = (OneVoice::default(), Instant::now());
        assert!(voice.speaks(&"a", start, start));
        let mut heard = false;
        for minute in 1..6 {
            let now = start + Duration::from_secs(60 * minute);
            voice.ends(&"a", now);
            assert!(
                voice.speaks(&"a", now + MOMENT, now + MOMENT),
                "it has its say each time"
            );
            heard |= voice.speaks(&"b", start + MOMENT, now + 2 * MOMENT);
        }
        assert!(heard);
    }
}
