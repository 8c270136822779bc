//! What happens upstream meanwhile: calls end, their recordings become available, some change or go once they are kept.
//!
//! Must not know: what is done about it here.

use std::time::Duration;
use std::time::Instant;

use birdkeep::domain::ids::RecordingId;
use sha2::Digest as _;
use sha2::Sha256;

use crate::support::bird::Bird;
use crate::support::bird::RecordingSpec;
use crate::support::bird::WorkspaceHandle;
use crate::support::invariants::Offered;
use crate::support::random::Random;
use crate::surviving::kit::hex;

/// Recordings that come in a second, all workspaces together.
const A_SECOND: f64 = 6.0;
/// No more than this come, however long it takes: upstream and the archive lie on this machine.
const MOST: f64 = 4_000.0;
/// One of so many is still being recorded when it is first listed.
const ONGOING_OF: u64 = 5;
/// How long that takes.
const CALL: Duration = Duration::from_secs(4);

/// Three workspaces, and all that they ever offered.
pub(super) struct Traffic {
    pub(super) spaces: [(&'static str, WorkspaceHandle); 3],
    pub(super) offered: Vec<Offered>,
    ongoing: Vec<(usize, RecordingId, Instant)>,
    random: Random,
    begun: Instant,
    pause: Duration,
}

impl Traffic {
    pub(super) fn new(bird: &Bird, whole: Duration) -> Self {
        let space = |name, last: u8| {
            let id = format!("8bc02f53-87ac-48d2-b4fd-c2cf856a305{last:x}");
            (
                name,
                bird.add_workspace(&id, &format!("soak-key-{name}-Xr2LpTn75bWq8Z")),
            )
        };
        let rate = A_SECOND.min(MOST / whole.as_secs_f64());
        Self {
            spaces: [space("support", 1), space("sales", 2), space("night", 3)],
            offered: Vec::new(),
            ongoing: Vec::new(),
            random: Random::new(0x50a4),
            begun: Instant::now(),
            pause: Duration::from_secs_f64(1.0 / rate),
        }
    }

    /// All that is due to happen by now.
    pub(super) fn go_on(&mut self, bird: &Bird) {
        while self.offered.len() < self.due() {
            self.add(bird);
        }
        let now = Instant::now();
        let (over, ongoing) = std::mem::take(&mut self.ongoing)
            .into_iter()
            .partition(|(.., until)| *until <= now);
        self.ongoing = ongoing;
        for (space, id, _) in over {
            self.become_available(space, id);
        }
    }

    /// What is still being recorded comes to its end.
    pub(super) fn hang_up(&mut self) {
        for (space, id, _) in std::mem::take(&mut self.ongoing) {
            self.become_available(space, id);
        }
    }

    /// Upstream changes what it says of a recording that is kept here, or takes it away altogether.
    pub(super) fn change_one_of(&mut self, kept: &[(String, RecordingId)]) {
        let Some((name, id)) = kept.get(usize::try_from(self.random.below(kept.len().max(1) as u64)).unwrap_or(0))
        else {
            return;
        };
        let listed = |space: &&(&str, WorkspaceHandle)| space.0 == name && space.1.listed().contains(id);
        let Some((_, space)) = self.spaces.iter().find(listed) else {
            return;
        };
        match self.random.below(4) {
            0 => space.remove(*id),
            1 => space.unlist(*id),
            2 => space.set_status(*id, "absent"),
            _ => space.edit(*id, |members| drop(members.insert("stereo".to_owned(), true.into()))),
        }
    }

    fn due(&self) -> usize {
        let due = self.begun.elapsed().as_secs_f64() / self.pause.as_secs_f64();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a few thousand at most, and positive"
        )]
        let due = due as usize;
        due
    }

    fn add(&mut self, bird: &Bird) {
        let at = usize::try_from(self.random.below(3)).unwrap_or(0);
        let bytes = match self.random.below(10) {
            0 => 300_000,
            _ => 10_000 + self.random.below(50_000),
        };
        let ongoing = self.random.below(ONGOING_OF) == 0;
        let (status, created_at) = (if ongoing { "ongoing" } else { "available" }, bird.now());
        let (name, space) = &self.spaces[at];
        let id = space.add(
            RecordingSpec::new()
                .created_at(created_at)
                .status(status)
                .body_bytes(bytes),
        );
        self.offered.push(Offered {
            workspace: (*name).to_owned(),
            id: id.to_string(),
            created_at: created_at.as_microseconds(),
            sha256: Some(hex(&Sha256::digest(space.body(id)))),
        });
        if ongoing {
            self.ongoing.push((at, id, Instant::now() + CALL));
        }
    }

    fn become_available(&self, space: usize, id: RecordingId) {
        self.spaces[space].1.set_status(id, "available");
    }
}
