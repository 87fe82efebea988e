//! One imp of one request, ready to be compared with campaigns.

use crate::campaign::{CompiledCampaign, format_word};
use crate::conditions::{Conditions, floor_of_all};
use crate::creative::begun_seconds;
use crate::facts::Facts;
use crate::hash::{TextHash, exact, mix};
use crate::list::{ListOf, contains_any};
use crate::taxonomy::{Space, space};
use crate::words::size;
use crate::{Decision, ExchangeState, Now, UserView};
use bumpalo::Bump;
use domain::creative::Format;
use domain::currency::Currency;
use domain::deal::{at_exchange, is_plain_id};
use openrtb::BidRequest;
use openrtb::codes::auction_type;
use openrtb::native::NativeRequest;
use openrtb::request::{AudioVideo, Banner, Deal, Format as BannerFormat, Imp};

/// What all imps of a request share.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) request: &'a BidRequest<'a>,
    pub(crate) exchange: &'a ExchangeState,
    /// `Unidentified` wherever the user may not be known.
    pub(crate) user: UserView<'a>,
    pub(crate) now: Now,
    pub(crate) facts: &'a Facts,
    /// Of every bid in the response.
    pub(crate) currency: Currency,
}

impl<'a> Ask<'a> {
    /// `None` when we can bid in none of the request's currencies.
    pub(crate) fn new(
        request: &'a BidRequest<'a>,
        exchange: &'a ExchangeState,
        user: UserView<'a>,
        now: Now,
        facts: &'a Facts,
    ) -> Option<Self> {
        Some(Self {
            request,
            exchange,
            user: if facts.identifiable {
                user
            } else {
                UserView::Unidentified
            },
            now,
            facts,
            currency: exchange.bid_currency(request.cur)?,
        })
    }
}

#[derive(Debug)]
pub(crate) struct Offer<'a> {
    pub(crate) ask: &'a Ask<'a>,
    /// In `request.imp`.
    pub(crate) position: usize,
    pub(crate) imp: &'a Imp<'a>,
    /// What the native offer asks for; `None` when there is none or it cannot be read.
    pub(crate) native: Option<NativeRequest<'a>>,
    pub(crate) slots: &'a [Slot],
    pub(crate) history: &'a History,
    /// Of the request's id and the imp's.
    pub(crate) hash: u64,
    /// That it can be filled with.
    pub(crate) formats: Formats,
    /// Whether [`Offer::size_words`] say all: what a ratio or a screen takes is seen at the creative alone.
    pub(crate) size_words_say_all: bool,
    /// Of its `cattax`.
    pub(crate) category_space: Space,
    pub(crate) asked_of_campaigns: Conditions,
    pub(crate) asked_of_creatives: Conditions,
}

/// A set of formats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Formats(u8);

impl Formats {
    fn of_imp(imp: &Imp<'_>) -> Self {
        let offered = [
            (imp.banner.is_some(), Format::Banner),
            (imp.video.is_some(), Format::Video),
            (imp.audio.is_some(), Format::Audio),
            (imp.native.is_some(), Format::Native),
        ];
        let offered = offered.into_iter().filter(|(is_offered, _)| *is_offered);
        Self::of(offered.map(|(_, format)| format))
    }

    pub(crate) fn of(formats: impl IntoIterator<Item = Format>) -> Self {
        let formats = formats.into_iter();
        Self(formats.fold(0, |set, format| set | 1 << format as u8))
    }

    #[inline]
    pub(crate) fn has_none_of(self, others: Self) -> bool {
        self.0 & others.0 == 0
    }

    #[inline]
    pub(crate) fn contains(self, format: Format) -> bool {
        self.0 & 1 << format as u8 != 0
    }
}

/// Where one bid can go: the open auction or a deal. Slots of one imp do not compete with each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    /// In `imp.pmp.deals`; `None` is the open auction.
    pub(crate) deal: Option<usize>,
    /// Of the deal's id, at whatever exchange, and at this one.
    pub(crate) deal_hashes: [u64; 2],
    pub(crate) floor: Floor,
    pub(crate) filled: Filled,
    /// A bid in the campaign's own currency is its maximum for one impression.
    pub(crate) has_plain_price: bool,
    pub(crate) asked: Conditions,
}

/// What a dynamic pod (OpenRTB 2.6, 7.6: `poddur`) has got in one slot so far; elsewhere nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Filled {
    pub(crate) ads: u32,
    /// Begun ones count.
    pub(crate) seconds: i64,
    /// Takes no more.
    pub(crate) is_closed: bool,
}

/// In the bid's currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Floor {
    /// The same for all; 0 when there is none.
    Flat { cpm_micros: i64 },
    /// Its currency has no rate.
    WithoutRate,
    /// Each creative has its own.
    ByDuration,
}

impl Slot {
    fn new(ask: &Ask<'_>, imp: &Imp<'_>, deal: Option<usize>, deal_hashes: [u64; 2]) -> Self {
        let mut slot = Self {
            deal,
            deal_hashes,
            floor: floor_of_all(ask, imp, deal.and_then(|deal| imp.pmp.deals.get(deal))),
            filled: Filled::default(),
            // A deal's may be its floor.
            has_plain_price: deal.is_none() && imp.qty.is_none(),
            asked: 0,
        };
        slot.asked = slot.asked_in_slot();
        slot
    }
}

/// What earlier imps of the request got.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Hashes of advertisers that have bid.
    pub(crate) advertisers: Vec<u64>,
    /// Pods and the top categories that are in them.
    pub(crate) pod_categories: Vec<(u64, u64)>,
}

/// A pod longer than this is filled with as many of our ads, no more.
const MOST_ADS_IN_POD: u32 = 20;

/// The video or audio object of a creative's format, where it asks for a pod to be filled by several ads.
pub(crate) fn dynamic_pod<'a>(imp: &Imp<'a>, format: Format) -> Option<&'a AudioVideo<'a>> {
    media(imp, format).filter(|media| media.poddur.is_some())
}

/// Whether the imp can be decided more than once.
pub(crate) fn may_go_on(imp: &Imp<'_>) -> bool {
    [Format::Video, Format::Audio]
        .into_iter()
        .any(|format| dynamic_pod(imp, format).is_some())
}

/// Takes note of what the imp's slots have just got. Says whether any of them takes more: then the imp is to be decided
/// once more. A slot that got nothing gets nothing later either, since conditions only grow stricter.
///
/// Deals and the open auction do not compete with each other (7.3), so each has the whole pod to fill.
pub(crate) fn goes_on(imp: &Imp<'_>, decisions: &[Decision], slots: &mut [Slot]) -> bool {
    let mut goes_on = false;
    for slot in slots {
        let won = decisions.iter().find(|decision| decision.deal == slot.deal);
        let pod = won.and_then(|decision| dynamic_pod(imp, decision.format));
        let filled = &mut slot.filled;
        let Some((decision, pod)) = won.zip(pod).filter(|_| !filled.is_closed) else {
            filled.is_closed = true;
            continue;
        };
        filled.ads += 1;
        filled.seconds += decision.duration_ms.map_or(0, begun_seconds);
        let most_ads = pod.maxseq.filter(|ads| *ads > 0).unwrap_or(MOST_ADS_IN_POD);
        filled.is_closed = filled.ads >= most_ads.min(MOST_ADS_IN_POD)
            || pod.poddur.is_none_or(|whole| i64::from(whole) <= filled.seconds);
        goes_on |= !filled.is_closed;
        slot.asked = slot.asked_in_slot();
    }
    goes_on
}

/// Fills `slots` with those of the imp: open first, then each deal once, in their order.
pub(crate) fn read_slots(ask: &Ask<'_>, imp: &Imp<'_>, slots: &mut Vec<Slot>) {
    slots.clear();
    if !imp.pmp.private_auction {
        slots.push(Slot::new(ask, imp, None, [0; 2]));
    }
    let deals = imp.pmp.deals.iter().enumerate();
    for (position, deal) in deals.filter(|(_, deal)| is_plain_id(deal.id)) {
        let here = at_exchange(&ask.exchange.serving().exchange.id, deal.id).into_iter();
        let here = here.fold(TextHash::new(), TextHash::exact);
        let deal_hashes = [exact(deal.id), here.finish()];
        if !slots
            .iter()
            .any(|slot| slot.deal.is_some() && slot.deal_hashes == deal_hashes)
        {
            slots.push(Slot::new(ask, imp, Some(position), deal_hashes));
        }
    }
}

impl Slot {
    /// Whether the campaign wants it at all.
    pub(crate) fn suits(&self, campaign: &CompiledCampaign) -> bool {
        match self.deal {
            None => campaign.open_auction,
            Some(_) => contains_any(campaign.list(ListOf::Deals).allow, &self.deal_hashes),
        }
    }

    pub(crate) fn deal<'a>(&self, offer: &Offer<'a>) -> Option<&'a Deal<'a>> {
        offer.imp.pmp.deals.get(self.deal?)
    }

    /// The deal's `at`, else the request's, else what the exchange is set to mean by leaving it out.
    pub(crate) fn auction_type(&self, offer: &Offer<'_>) -> u16 {
        let of_exchange = offer.ask.exchange.serving().exchange.spec.auction_type;
        self.deal(offer)
            .and_then(|deal| deal.at)
            .or(offer.ask.request.at)
            .or_else(|| u16::try_from(of_exchange).ok())
            .unwrap_or(auction_type::SECOND_PRICE)
    }

    /// A deal whose floor is the price (`at: 3`); the open auction has no such thing.
    pub(crate) fn is_fixed_price(&self, offer: &Offer<'_>) -> bool {
        self.deal.is_some() && self.auction_type(offer) == auction_type::FIXED_PRICE
    }

    /// A deal of guaranteed delivery (OpenRTB 2.6, 3.2.12 `guar`).
    pub(crate) fn is_guaranteed(&self, offer: &Offer<'_>) -> bool {
        self.deal(offer).is_some_and(|deal| deal.guar)
    }
}

impl<'a> Offer<'a> {
    pub(crate) fn new(
        ask: &'a Ask<'a>,
        position: usize,
        imp: &'a Imp<'a>,
        slots: &'a [Slot],
        history: &'a History,
        arena: &'a Bump,
    ) -> Self {
        let native = imp.native.and_then(|native| native.request);
        let mut offer = Self {
            ask,
            position,
            imp,
            native: native.and_then(|text| openrtb::native::read_request(text, arena).ok()),
            slots,
            history,
            hash: mix(ask.facts.request_hash, exact(imp.id)),
            formats: Formats::of_imp(imp),
            size_words_say_all: size_words_say_all(imp),
            category_space: space(i64::from(ask.request.cattax)),
            asked_of_campaigns: 0,
            asked_of_creatives: 0,
        };
        offer.asked_of_campaigns = offer.asked_of_campaigns();
        offer.asked_of_creatives = offer.asked_of_creatives();
        offer
    }

    /// The tie-break among equal values on the imp, and where a rotation of creatives stands, by the hash of the campaign.
    pub(crate) fn tie(&self, campaign_hash: u64) -> u64 {
        mix(self.hash, campaign_hash)
    }

    pub(crate) fn format_words(&self) -> Few<4> {
        let all = [Format::Banner, Format::Video, Format::Audio, Format::Native];
        let offered = all.into_iter().filter(|format| self.formats.contains(*format));
        Few::of(offered.map(format_word))
    }

    /// Gives the words of [`CompiledCampaign::fitting_sizes`] that fit.
    pub(crate) fn size_words(&self, mut give: impl FnMut(u64)) {
        let formats = self.format_words();
        let banner = const { format_word(Format::Banner) };
        formats
            .as_slice()
            .iter()
            .filter(|word| **word != banner)
            .for_each(|word| give(*word));
        let Some(offered) = self.imp.banner else {
            return;
        };
        if takes_many_sizes(offered) {
            give(banner);
        }
        let sizes = offered.format.iter().map(|format| (format.w, format.h));
        let named = sizes
            .chain([(offered.w, offered.h)])
            .filter_map(|(w, h)| w.zip(h));
        named.for_each(|(width, height)| give(size(width.into(), height.into())));
    }

    /// The video or audio object that a creative of this format answers.
    pub(crate) fn media(&self, format: Format) -> Option<&'a AudioVideo<'a>> {
        media(self.imp, format)
    }
}

fn size_words_say_all(imp: &Imp<'_>) -> bool {
    let Some(offered) = imp.banner.filter(|banner| takes_many_sizes(banner)) else {
        return true;
    };
    names_no_size(offered) && !imp.instl
}

/// More than can be named: any, or a ratio.
fn takes_many_sizes(banner: &Banner<'_>) -> bool {
    let has_ratio = |format: &BannerFormat| format.wratio.zip(format.hratio).is_some();
    names_no_size(banner) || banner.format.iter().any(has_ratio)
}

/// Any size fits then, on an interstitial any that the screen holds.
pub(crate) fn names_no_size(banner: &Banner<'_>) -> bool {
    let has_own = banner.w.zip(banner.h).is_some();
    let has_format = banner
        .format
        .iter()
        .any(|format| format.w.zip(format.h).is_some() || format.wratio.zip(format.hratio).is_some());
    !has_own && !has_format
}

pub(crate) fn media<'a>(imp: &Imp<'a>, format: Format) -> Option<&'a AudioVideo<'a>> {
    match format {
        Format::Video => imp.video,
        Format::Audio => imp.audio,
        Format::Banner | Format::Native => None,
    }
}

/// The pod that a creative of this format would be in. A dynamic one may have no name: then it is the imp's own.
pub(crate) fn pod(imp: &Imp<'_>, format: Format) -> Option<u64> {
    let media = media(imp, format)?;
    let named = media.podid.filter(|id| !id.is_empty()).map(exact);
    named.or_else(|| {
        media
            .poddur
            .map(|_| mix(exact(imp.id), const { exact("pod of its own") }))
    })
}

/// A handful of values without the heap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Few<const N: usize> {
    values: [u64; N],
    len: usize,
}

impl<const N: usize> Few<N> {
    /// Takes the first `N`.
    pub(crate) fn of(values: impl IntoIterator<Item = u64>) -> Self {
        let mut few = Self {
            values: [0; N],
            len: 0,
        };
        for (place, value) in few.values.iter_mut().zip(values) {
            *place = value;
            few.len += 1;
        }
        few
    }

    pub(crate) fn as_slice(&self) -> &[u64] {
        &self.values[..self.len]
    }
}
