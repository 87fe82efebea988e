//! What a request says, in the words of targeting; read once, compared with many campaigns.

use crate::agent;
use crate::hash::{TextHash, exact, folded, mix};
use crate::list::Asked;
use crate::place::{Whereabouts, region};
use crate::taxonomy::{self, levels};
use crate::words::{domain, domain_and_parents, host, language};
use crate::{UserView, is_identifiable};
use openrtb::BidRequest;
use openrtb::request::{Inventory, InventoryKind};

/// Hashes of one request. The lists keep their room from request to request.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// The user may be known; without it nothing of the user is in here, and no precise place.
    pub(crate) identifiable: bool,
    pub(crate) exchange: Vec<u64>,
    pub(crate) inventory: Vec<u64>,
    pub(crate) country: Vec<u64>,
    pub(crate) devices: Vec<u64>,
    pub(crate) operating_system: Vec<u64>,
    pub(crate) browser: Vec<u64>,
    pub(crate) language: Vec<u64>,
    pub(crate) connections: Vec<u64>,
    pub(crate) carrier: Vec<u64>,
    /// The site's domain and those above it.
    pub(crate) sites: Vec<u64>,
    pub(crate) app: Vec<u64>,
    /// Of content and place, and those above them.
    pub(crate) categories: Vec<u64>,
    pub(crate) keywords: Vec<u64>,
    /// Own lists and segments.
    pub(crate) audiences: Vec<u64>,
    /// Of the user's frequency counters [`counter_key`] and impressions; sorted.
    counters: Vec<(u64, u32)>,
    pub(crate) whereabouts: Whereabouts,
    /// Block and allow lists of the request.
    pub(crate) bcat: Asked,
    pub(crate) acat: Asked,
    pub(crate) badv: Asked,
    pub(crate) bapp: Asked,
    /// `wlang` and `wlangb`.
    pub(crate) allowed_languages: Asked,
    pub(crate) request_hash: u64,
}

impl Facts {
    /// Replaces what was read before.
    pub(crate) fn read(&mut self, request: &BidRequest<'_>, exchange_id: &str, user: &UserView<'_>) {
        self.identifiable = is_identifiable(request);
        self.request_hash = exact(request.id);
        refill(&mut self.exchange, [exact(exchange_id)]);
        self.read_device(request);
        self.read_inventory(&request.inventory);
        self.read_keywords(request);
        self.read_audiences(request, user);
        self.read_lists(request);
    }

    /// What the user has seen in the window that is running, by [`counter_key`].
    pub(crate) fn impressions(&self, key: u64) -> u32 {
        let behind = self.counters.partition_point(|(of, _)| *of <= key);
        let last = behind.checked_sub(1).and_then(|at| self.counters.get(at));
        last.filter(|(of, _)| *of == key)
            .map_or(0, |(_, impressions)| *impressions)
    }

    fn read_device(&mut self, request: &BidRequest<'_>) {
        let device = &request.device;
        let geo = &device.geo;
        let precise = self.identifiable;
        self.whereabouts = Whereabouts {
            country: named(geo.country),
            region: geo.region.filter(|text| !text.trim().is_empty()).map(region),
            city: named(geo.city).filter(|_| precise),
            zip: named(geo.zip).filter(|_| precise),
            point: geo.lat.zip(geo.lon).filter(|_| precise),
        };
        refill(&mut self.country, self.whereabouts.country);
        refill(&mut self.devices, agent::device_words(device).iter().copied());
        refill(
            &mut self.connections,
            agent::connection_words(device).iter().copied(),
        );
        refill(&mut self.operating_system, agent::operating_system(device));
        refill(&mut self.browser, agent::browser(device));
        refill(&mut self.carrier, named(device.carrier));
        refill(&mut self.language, device.language.or(device.langb).map(language));
    }

    fn read_inventory(&mut self, inventory: &Inventory<'_>) {
        let is_site = inventory.kind == InventoryKind::Site;
        let is_app = inventory.kind == InventoryKind::App;
        let kind = match inventory.kind {
            InventoryKind::Unknown => None,
            InventoryKind::Site => Some(const { exact("site") }),
            InventoryKind::App => Some(const { exact("app") }),
            InventoryKind::Dooh => Some(const { exact("dooh") }),
        };
        refill(&mut self.inventory, kind);
        let site = inventory
            .domain
            .filter(|domain| !domain.is_empty())
            .or_else(|| host(inventory.page?))
            .filter(|_| is_site);
        refill(&mut self.sites, site.into_iter().flat_map(domain_and_parents));
        refill(
            &mut self.app,
            inventory
                .bundle
                .filter(|_| is_app)
                .map(|bundle| exact(bundle.trim())),
        );

        let of_place = [inventory.cat, inventory.sectioncat, inventory.pagecat];
        let of_place = of_place
            .into_iter()
            .flatten()
            .map(|name| (inventory.cattax, *name));
        let of_content = inventory
            .content
            .into_iter()
            .flat_map(|content| content.cat.iter().map(|name| (content.cattax, *name)));
        let names = of_place.chain(of_content);
        refill(
            &mut self.categories,
            names.flat_map(|(taxonomy, name)| levels(i64::from(taxonomy.unwrap_or(1)), name)),
        );
    }

    fn read_keywords(&mut self, request: &BidRequest<'_>) {
        let inventory = &request.inventory;
        let content = inventory.content;
        let user = Some(&request.user).filter(|_| self.identifiable);
        let joined = [
            inventory.keywords,
            content.and_then(|content| content.keywords),
            user.and_then(|user| user.keywords),
        ];
        let listed = [
            Some(inventory.kwarray),
            content.map(|content| content.kwarray),
            user.map(|user| user.kwarray),
        ];
        let joined = joined.into_iter().flatten().flat_map(|text| text.split(','));
        let listed = listed.into_iter().flatten().flatten().copied();
        refill(&mut self.keywords, joined.chain(listed).map(folded));
    }

    fn read_audiences(&mut self, request: &BidRequest<'_>, user: &UserView<'_>) {
        self.audiences.clear();
        self.counters.clear();
        if !self.identifiable {
            return;
        }
        if let UserView::Known { audiences, counters } = user {
            self.audiences.extend(audiences.iter().map(|id| exact(id)));
            let counters = counters.iter().map(|counter| {
                let key = counter_key(exact(counter.scope_id), counter.window_ms);
                (key, counter.impressions)
            });
            self.counters.extend(counters);
            self.counters.sort_unstable();
        }
        for data in request.user.data {
            for provider in [data.id, data.name].into_iter().flatten() {
                let ids = data.segment.iter().filter_map(|segment| segment.id);
                self.audiences.extend(ids.map(|id| segment(provider, id)));
            }
        }
    }

    fn read_lists(&mut self, request: &BidRequest<'_>) {
        let category = |name: &&str| taxonomy::word(i64::from(request.cattax), name);
        self.bcat.refill(request.bcat.iter().map(category));
        self.acat.refill(request.acat.iter().map(category));
        self.badv.refill(request.badv.iter().map(|name| domain(name)));
        self.bapp
            .refill(request.bapp.iter().map(|bundle| exact(bundle.trim())));
        let languages = request.wlang.iter().chain(request.wlangb);
        self.allowed_languages.refill(languages.map(|tag| language(tag)));
    }
}

/// Of a frequency counter: what it counts and in which window.
pub(crate) fn counter_key(scope_hash: u64, window_ms: i64) -> u64 {
    mix(scope_hash, window_ms.unsigned_abs())
}

/// `segment:PROVIDER:ID`, as targeting has it.
fn segment(provider: &str, id: &str) -> u64 {
    TextHash::new()
        .exact("segment:")
        .exact(provider)
        .exact(":")
        .exact(id)
        .finish()
}

fn named(text: Option<&str>) -> Option<u64> {
    text.filter(|text| !text.trim().is_empty()).map(folded)
}

fn refill(list: &mut Vec<u64>, values: impl IntoIterator<Item = u64>) {
    list.clear();
    list.extend(values);
}
