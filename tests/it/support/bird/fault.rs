//! Faults: which request one strikes, and how often. What it does is said in `api_fault`, `media_fault` and `link`.
//!
//! Must not know: how a fault is carried out.

use std::collections::HashMap;
use std::sync::Mutex;

use birdkeep::domain::ids::RecordingId;

use super::super::random::Random;
use super::api_fault::ApiAction;
use super::link::LinkAction;
use super::media_fault::MediaAction;

/// What is being answered, as far as rules tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    /// A page of a list.
    List,
    /// One recording's metadata.
    Item,
    /// The redirect to one recording's media.
    MediaLink,
    /// Another path of the API.
    OtherApi,
    /// Media.
    Media,
    /// A link is being made, for a list, an item or a redirect.
    Link,
}

/// What is being answered, in full.
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'a> {
    pub scene: Scene,
    pub workspace: &'a str,
    pub recording: Option<RecordingId>,
    /// Number of the page, from 1, for lists.
    pub page: Option<u32>,
    /// Whether a part was asked for.
    pub ranged: bool,
    /// Whether this already follows one of the simulator's redirects.
    pub redirected: bool,
}

/// Names a rule, to ask after it or take it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FaultId(u64);

#[derive(Debug, Clone, Copy)]
enum Times {
    Always,
    First(u32),
    FirstOfEach(u32),
}

#[derive(Debug, Clone)]
enum Action {
    Api(ApiAction),
    Media(MediaAction),
    Link(LinkAction),
}

/// One fault: where, when, what. Without further words it strikes every time. Of several rules that fit, the one
/// given first strikes.
#[derive(Debug, Clone)]
pub struct FaultRule {
    scenes: &'static [Scene],
    workspace: Option<String>,
    recording: Option<RecordingId>,
    page: Option<u32>,
    skipped: u32,
    times: Times,
    probability: f64,
    action: Action,
}

impl FaultRule {
    /// Strikes lists.
    pub const fn list(action: ApiAction) -> Self {
        Self::new(&[Scene::List], Action::Api(action))
    }

    /// Strikes single recordings' metadata.
    pub const fn item(action: ApiAction) -> Self {
        Self::new(&[Scene::Item], Action::Api(action))
    }

    /// Strikes redirects to media.
    pub const fn media_link(action: ApiAction) -> Self {
        Self::new(&[Scene::MediaLink], Action::Api(action))
    }

    /// Strikes what is neither a list nor one recording's metadata nor media: metrics and deletions.
    pub const fn other_api(action: ApiAction) -> Self {
        Self::new(&[Scene::OtherApi], Action::Api(action))
    }

    /// Strikes everything on the API's host.
    pub const fn api(action: ApiAction) -> Self {
        Self::new(
            &[Scene::List, Scene::Item, Scene::MediaLink, Scene::OtherApi],
            Action::Api(action),
        )
    }

    /// Strikes media that are asked for with a good link.
    pub const fn media(action: MediaAction) -> Self {
        Self::new(&[Scene::Media], Action::Media(action))
    }

    /// Strikes links as they are made.
    pub const fn link(action: LinkAction) -> Self {
        Self::new(&[Scene::Link], Action::Link(action))
    }

    const fn new(scenes: &'static [Scene], action: Action) -> Self {
        Self {
            scenes,
            workspace: None,
            recording: None,
            page: None,
            skipped: 0,
            times: Times::Always,
            probability: 1.0,
            action,
        }
    }

    /// Only in this workspace, by its id upstream.
    #[must_use]
    pub fn workspace(mut self, id: &str) -> Self {
        self.workspace = Some(id.to_owned());
        self
    }

    /// Only for this recording.
    #[must_use]
    pub const fn recording(mut self, id: RecordingId) -> Self {
        self.recording = Some(id);
        self
    }

    /// Only on this page of a list, counted from 1.
    #[must_use]
    pub const fn page(mut self, page: u32) -> Self {
        self.page = Some(page);
        self
    }

    /// Not the first so many times it would fit.
    #[must_use]
    pub const fn after(mut self, skipped: u32) -> Self {
        self.skipped = skipped;
        self
    }

    /// Only so many times.
    #[must_use]
    pub const fn times(mut self, times: u32) -> Self {
        self.times = Times::First(times);
        self
    }

    /// Only so many times for each recording (for lists: for each page).
    #[must_use]
    pub const fn times_each(mut self, times: u32) -> Self {
        self.times = Times::FirstOfEach(times);
        self
    }

    /// Only this often, from 0.0 to 1.0, by the server's seed.
    #[must_use]
    pub const fn probability(mut self, probability: f64) -> Self {
        self.probability = probability;
        self
    }

    fn fits(&self, occasion: &Occasion) -> bool {
        self.scenes.contains(&occasion.scene)
            && self
                .workspace
                .as_deref()
                .is_none_or(|workspace| workspace == occasion.workspace)
            && self
                .recording
                .is_none_or(|recording| Some(recording) == occasion.recording)
            && self.page.is_none_or(|page| Some(page) == occasion.page)
            && match &self.action {
                Action::Media(action) => action.fits(occasion),
                Action::Api(_) | Action::Link(_) => true,
            }
    }
}

#[derive(Debug)]
struct Armed {
    id: FaultId,
    rule: FaultRule,
    random: Random,
    fitted: u32,
    struck: u32,
    struck_each: HashMap<(Option<RecordingId>, Option<u32>), u32>,
}

impl Armed {
    fn strikes(&mut self, occasion: &Occasion) -> bool {
        if !self.rule.fits(occasion) {
            return false;
        }
        let each = self.struck_each.entry((occasion.recording, occasion.page)).or_default();
        let spent = match self.rule.times {
            Times::Always => false,
            Times::First(times) => self.struck >= times,
            Times::FirstOfEach(times) => *each >= times,
        };
        if spent {
            return false;
        }
        self.fitted += 1;
        if self.fitted <= self.rule.skipped || !self.random.chance(self.rule.probability) {
            return false;
        }
        self.struck += 1;
        *each += 1;
        true
    }
}

/// The rules in force.
#[derive(Debug)]
pub struct Faults {
    seed: u64,
    state: Mutex<(u64, Vec<Armed>)>,
}

impl Faults {
    /// No rules.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            state: Mutex::default(),
        }
    }

    /// Puts a rule in force, behind those before it.
    pub fn arm(&self, rule: FaultRule) -> FaultId {
        let mut state = self.state.lock().unwrap();
        state.0 += 1;
        let id = FaultId(state.0);
        let random = Random::new(self.seed ^ (state.0 << 32));
        state.1.push(Armed {
            id,
            rule,
            random,
            fitted: 0,
            struck: 0,
            struck_each: HashMap::new(),
        });
        id
    }

    /// Takes one rule back.
    pub fn disarm(&self, id: FaultId) {
        self.state.lock().unwrap().1.retain(|armed| armed.id != id);
    }

    /// Takes all rules back.
    pub fn disarm_all(&self) {
        self.state.lock().unwrap().1.clear();
    }

    /// How often a rule has struck; 0 once it was taken back.
    pub fn struck(&self, id: FaultId) -> u32 {
        let state = self.state.lock().unwrap();
        state
            .1
            .iter()
            .find(|armed| armed.id == id)
            .map_or(0, |armed| armed.struck)
    }

    /// What strikes an API request.
    pub fn api(&self, occasion: &Occasion) -> Option<ApiAction> {
        match self.pick(occasion)? {
            Action::Api(action) => Some(action),
            Action::Media(_) | Action::Link(_) => None,
        }
    }

    /// What strikes a media request.
    pub fn media(&self, occasion: &Occasion) -> Option<MediaAction> {
        match self.pick(occasion)? {
            Action::Media(action) => Some(action),
            Action::Api(_) | Action::Link(_) => None,
        }
    }

    /// What strikes a link that is being made.
    pub fn link(&self, occasion: &Occasion) -> Option<LinkAction> {
        match self.pick(occasion)? {
            Action::Link(action) => Some(action),
            Action::Api(_) | Action::Media(_) => None,
        }
    }

    fn pick(&self, occasion: &Occasion) -> Option<Action> {
        let mut state = self.state.lock().unwrap();
        let armed = state
            .1
            .iter_mut()
            .find_map(|armed| armed.strikes(occasion).then_some(armed))?;
        Some(armed.rule.action.clone())
    }
}
