//! Decisions to the bytes of a `BidResponse` (OpenRTB 2.6, 4.2), with tokens sealed and markup filled in.

use crate::dimensions::dimensions;
use crate::live::Live;
use crate::markup::{Markup, Piece, PreparedCreative};
use crate::native::{self, NativeFill};
use crate::notice_urls::NoticeUrls;
use crate::token::{BidToken, LONGEST_BILLING_WINDOW_MS, TokenSealer};
use bidding_engine::{CampaignRecord, CreativeRecord, Decision};
use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;
use domain::campaign::CapScope;
use domain::creative::Format;
use domain::event::Dimensions;
use domain::exchange::{Exchange, ExchangeSpec};
use domain::id::{BidId, BidderId};
use openrtb::codes::mtype;
use openrtb::request::{DsaTransparency, Imp, InventoryKind};
use openrtb::response::{Bid, BidDsa, SeatBid};
use openrtb::{BidRequest, BidResponse, write_response};
use std::sync::atomic::{AtomicU64, Ordering};
use storage::user_states::CounterKey;

/// What every answer of this process has in common.
#[derive(Debug)]
pub(crate) struct Answerer {
    sealer: std::sync::Arc<TokenSealer>,
    /// Without a slash at its end.
    public_url: String,
    bidder_id: BidderId,
    /// The upper half of every bid id: random at each start.
    run: u64,
    bids: AtomicU64,
}

/// The question that is answered.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) request: &'a BidRequest<'a>,
    pub(crate) exchange: &'a Exchange,
    pub(crate) live: &'a Live,
    pub(crate) user_key: Option<&'a str>,
    /// When the request arrived, Unix milliseconds.
    pub(crate) at_ms: i64,
    /// Its number among the requests that are traced, if it is.
    pub(crate) traced: Option<u64>,
}

impl Answerer {
    pub(crate) fn new(
        sealer: std::sync::Arc<TokenSealer>,
        public_url: String,
        bidder_id: BidderId,
        run: u64,
    ) -> Self {
        Self {
            sealer,
            public_url,
            bidder_id,
            run,
            bids: AtomicU64::new(0),
        }
    }

    /// Appends the response to `out` and what its bids are reported under to `made`.
    pub(crate) fn write_bids(
        &self,
        asked: Asked<'_>,
        decisions: &[Decision],
        arena: &Bump,
        out: &mut Vec<u8>,
        made: &mut Vec<Dimensions>,
    ) {
        let mut seats: ArenaVec<'_, (Option<&str>, ArenaVec<'_, Bid<'_>>)> = ArenaVec::new_in(arena);
        for decision in decisions {
            let Some(offer) = Offer::of(asked, decision) else {
                continue;
            };
            let token = self.token(&offer, made.len());
            let bid = offer.bid(NoticeUrls::new(&self.public_url, &self.sealer, &token, arena));
            made.push(token.dimensions);
            let seat = offer.seat();
            match seats.iter_mut().find(|(known, _)| *known == seat) {
                Some((_, bids)) => bids.push(bid),
                None => seats.push((seat, bumpalo::vec![in arena; bid])),
            }
        }
        let seatbid = seats.into_iter().map(|(seat, bids)| SeatBid {
            bid: bids.into_bump_slice(),
            seat,
        });
        let seatbid = ArenaVec::from_iter_in(seatbid, arena);
        let currency = decisions.first().map(|decision| decision.bid_currency);
        write_response(
            &BidResponse {
                id: asked.request.id,
                seatbid: &seatbid,
                cur: currency.as_ref().map(domain::currency::Currency::as_str),
                ..BidResponse::default()
            },
            out,
        );
    }

    /// `place` of the bid among those of its request. There are never so many that it does not fit; and if there were, the
    /// trace would lack one.
    fn bid_id(&self, traced: Option<u64>, place: usize) -> BidId {
        match (traced, u16::try_from(place)) {
            (Some(request), Ok(place)) => BidId::traced(self.run, request, place),
            _ => BidId::untraced(self.run, self.bids.fetch_add(1, Ordering::Relaxed)),
        }
    }

    fn token(&self, offer: &Offer<'_>, place: usize) -> BidToken {
        let Offer {
            asked,
            decision,
            campaign,
            creative,
            ..
        } = *offer;
        let bid_id = self.bid_id(asked.traced, place);
        let counters = asked
            .user_key
            .map_or_else(Vec::new, |_| counters(campaign, creative));
        BidToken {
            bid_id,
            bid_at_ms: asked.at_ms,
            campaign_id: campaign.id.clone(),
            creative_id: creative.id.clone(),
            creative_version: creative.version,
            day: offer.day.clone(),
            bidder_id: self.bidder_id.clone(),
            price_cpm_micros: decision.price_cpm_micros,
            bid_currency: decision.bid_currency,
            currency: campaign.currency,
            terms: decision.terms,
            reserved_nanos: decision.reserved_nanos,
            billing_window_ms: billing_window_ms(asked.request, offer.imp, &asked.exchange.spec),
            user_key: asked.user_key.filter(|_| !counters.is_empty()).map(str::to_owned),
            dimensions: dimensions(
                asked.request,
                offer.imp,
                decision,
                campaign,
                asked.exchange.id.as_str(),
            ),
            billing: asked.exchange.spec.billing,
            price_form: asked.exchange.spec.price_form.clone(),
            market: decision.market,
            counters,
            landing_url: landing_url(&offer.prepared.landing, bid_id),
            test: decision.test,
        }
    }
}

/// One decision with everything it points at.
#[derive(Clone, Copy)]
struct Offer<'a> {
    asked: Asked<'a>,
    decision: &'a Decision,
    imp: &'a Imp<'a>,
    campaign: &'a CampaignRecord,
    day: &'a domain::period::Day,
    creative: &'a CreativeRecord,
    prepared: &'a PreparedCreative,
}

impl<'a> Offer<'a> {
    /// Always there for a decision of this snapshot on this request.
    fn of(asked: Asked<'a>, decision: &'a Decision) -> Option<Self> {
        let campaign = asked.live.snapshot.campaign(decision.campaign)?;
        Some(Self {
            asked,
            decision,
            imp: asked.request.imp.get(decision.imp)?,
            campaign,
            day: campaign.days.get(decision.day)?,
            creative: campaign.creatives.get(decision.creative)?,
            prepared: asked.live.prepared(decision.campaign, decision.creative)?,
        })
    }

    /// The advertiser's at this exchange, else the exchange's default.
    fn seat(&self) -> Option<&'a str> {
        let exchange = self.asked.exchange;
        let own = self.campaign.advertiser.seats.get(exchange.id.as_str());
        own.or(exchange.spec.seat.as_ref()).map(String::as_str)
    }

    fn bid(&self, urls: NoticeUrls<'a, '_>) -> Bid<'a> {
        let Self {
            decision,
            creative,
            prepared,
            ..
        } = *self;
        let arena = urls.arena;
        let texts = |texts: &'a [Box<str>]| -> &'a [&'a str] {
            arena.alloc_slice_fill_iter(texts.iter().map(|text| &**text))
        };
        let id = bumpalo::format!(in arena, "{}", urls.token.bid_id).into_bump_str();
        Bid {
            id,
            impid: self.imp.id,
            price_micros: decision.price_cpm_micros,
            nurl: urls.win(),
            burl: urls.billing(),
            lurl: urls.loss(),
            adm: self.adm(id, urls),
            adid: Some(creative.id.as_str()),
            bundle: prepared.bundle.as_deref(),
            adomain: texts(&creative.adomain.names),
            cid: Some(self.campaign.id.as_str()),
            crid: Some(&prepared.crid),
            cat: texts(&creative.traits.categories),
            cattax: u16::try_from(creative.traits.cattax)
                .ok()
                .filter(|_| !creative.traits.categories.is_empty()),
            attr: &creative.traits.attributes,
            apis: &creative.traits.apis,
            protocol: self.protocol(),
            language: creative.traits.language.as_deref(),
            dealid: decision
                .deal
                .and_then(|at| self.imp.pmp.deals.get(at))
                .map(|deal| deal.id),
            w: decision.width.and_then(|pixels| u32::try_from(pixels).ok()),
            h: decision.height.and_then(|pixels| u32::try_from(pixels).ok()),
            // Begun seconds count, as in the engine's conditions.
            dur: decision
                .duration_ms
                .and_then(|ms| u64::try_from(ms).ok())
                .and_then(|ms| u32::try_from(ms.div_ceil(1_000)).ok()),
            mtype: Some(match decision.format {
                Format::Banner => mtype::BANNER,
                Format::Video => mtype::VIDEO,
                Format::Audio => mtype::AUDIO,
                Format::Native => mtype::NATIVE,
            }),
            exp: u32::try_from(urls.token.billing_window_ms / 1_000).ok(),
            dsa: self.dsa(urls),
            ..Bid::default()
        }
    }

    fn adm(&self, bid_id: &'a str, urls: NoticeUrls<'a, '_>) -> &'a [&'a str] {
        let arena = urls.arena;
        let prepared = self.prepared;
        let impression = urls.impression();
        let click = if prepared.has_click { urls.click() } else { "" };
        if self.decision.format == Format::Native {
            let Some(own) = &self.creative.traits.native else {
                return &[];
            };
            let native = self.imp.native;
            let text = native.and_then(|native| native.request).unwrap_or("{}");
            let request = openrtb::native::read_request(text, arena).unwrap_or_default();
            let fill = NativeFill {
                click,
                impression,
                click_id: bid_id,
                cache_buster: cache_buster(bid_id),
            };
            let offer_version = native.and_then(|native| native.ver);
            let adm = native::answer(&request, offer_version, own, fill);
            return arena.alloc_slice_copy(&[&*arena.alloc_str(&adm)]);
        }
        let video_token = if prepared.has_video_events {
            urls.video_token()
        } else {
            ""
        };
        let mut adm = ArenaVec::with_capacity_in(prepared.markup.len() + 8, arena);
        for piece in prepared.markup.pieces() {
            match piece {
                Piece::Text(text) => adm.push(&**text),
                Piece::ClickUrl => adm.push(click),
                Piece::ClickId => adm.push(bid_id),
                Piece::CacheBuster => adm.push(cache_buster(bid_id)),
                Piece::ImpressionUrl => adm.push(impression),
                Piece::VideoUrl(word) => {
                    adm.extend_from_slice_copy(&[urls.base, "/event/video/", word, "?t=", video_token]);
                }
            }
        }
        adm.into_bump_slice()
    }

    /// What the creative answers with, of what the imp takes.
    fn protocol(&self) -> Option<u16> {
        let media = match self.decision.format {
            Format::Video => self.imp.video,
            Format::Audio => self.imp.audio,
            Format::Banner | Format::Native => None,
        }?;
        let own = &self.creative.traits.protocols;
        let asked_for = own.iter().find(|code| media.protocols.contains(code));
        asked_for.or(own.first()).copied()
    }

    /// Where the request speaks of it and the advertiser says both: whether it has to is the engine's condition.
    fn dsa(&self, urls: NoticeUrls<'a, '_>) -> Option<BidDsa<'a>> {
        /// The advertiser's markup shows no disclosure (`adrender`): that is left to the publisher.
        const NOT_RENDERED: u16 = 0;
        self.asked.request.regs.dsa.as_ref()?;
        let advertiser = &self.campaign.advertiser;
        let transparency = urls.arena.alloc(DsaTransparency {
            domain: host(urls.base),
            dsaparams: user_parameters(self.campaign),
        });
        Some(BidDsa {
            behalf: Some(advertiser.legal_name.as_deref()?),
            paid: Some(advertiser.paid_by.as_deref()?),
            transparency: std::slice::from_ref(transparency),
            adrender: Some(NOT_RENDERED),
        })
    }
}

/// What of the user decides who sees the campaign (IAB DSA Transparency, `dsaparams`): 1 profiling, 2 basic
/// advertising, 3 precise geolocation.
fn user_parameters(campaign: &CampaignRecord) -> &'static [u16] {
    match (campaign.uses_profile, campaign.uses_precise_place) {
        (false, false) => &[2],
        (true, false) => &[1, 2],
        (false, true) => &[2, 3],
        (true, true) => &[1, 2, 3],
    }
}

/// Of a base URL: without scheme, port and path.
fn host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    rest.split(['/', ':']).next()
}

/// T2: `imp.exp` can only lengthen what the exchange is set to.
fn billing_window_ms(request: &BidRequest<'_>, imp: &Imp<'_>, spec: &ExchangeSpec) -> i64 {
    let windows = &spec.billing_window_ms;
    let set_ms = match request.inventory.kind {
        _ if imp.instl => windows.interstitial,
        InventoryKind::App => windows.app,
        InventoryKind::Site | InventoryKind::Dooh | InventoryKind::Unknown => windows.web,
    };
    let wanted_ms = imp.exp.map_or(0, |seconds| i64::from(seconds) * 1_000);
    set_ms.max(wanted_ms).clamp(0, LONGEST_BILLING_WINDOW_MS)
}

/// What an impression counts on, each once.
fn counters(campaign: &CampaignRecord, creative: &CreativeRecord) -> Vec<CounterKey> {
    let mut counters: Vec<CounterKey> = Vec::with_capacity(campaign.frequency_caps.len());
    for cap in &campaign.frequency_caps {
        let scope_id = match cap.scope {
            CapScope::Campaign => campaign.id.as_str(),
            CapScope::Creative => creative.id.as_str(),
            CapScope::Advertiser => campaign.advertiser.id.as_str(),
        };
        let counter = CounterKey {
            scope_id: scope_id.to_owned(),
            window_ms: cap.window.length_ms(),
        };
        if !counters.contains(&counter) {
            counters.push(counter);
        }
    }
    counters
}

fn landing_url(landing: &Markup, bid_id: BidId) -> String {
    let id = bid_id.to_string();
    let texts = landing.pieces().map(|piece| match piece {
        Piece::Text(text) => &**text,
        Piece::ClickId => &id,
        Piece::CacheBuster => cache_buster(&id),
        Piece::ClickUrl | Piece::ImpressionUrl | Piece::VideoUrl(_) => "",
    });
    texts.collect()
}

/// The counting half of the bid's id: another one each time, which is all a cache buster has to be.
fn cache_buster(bid_id: &str) -> &str {
    &bid_id[bid_id.len() / 2..]
}

/// A 200 that says why there is no bid.
pub(crate) fn write_no_bid(request_id: &str, nbr: u16, out: &mut Vec<u8>) {
    write_response(
        &BidResponse {
            id: request_id,
            nbr: Some(nbr),
            ..BidResponse::default()
        },
        out,
    );
}
