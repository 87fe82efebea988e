//! Which fields an envelope holds, and in what order.

use super::wire::{Garbled, Reader, Writer};
use super::{BidToken, Envelope};
use bidding_engine::Market;
use domain::currency::Currency;
use domain::event::Dimensions;
use domain::exchange::{Billing, PriceForm, PriceUnit};
use domain::id::{BidId, BidderId, CampaignId, CreativeId};
use domain::money::Terms;
use domain::period::Day;
use storage::user_states::CounterKey;

/// Raised when the order or meaning of an envelope's fields changes; tokens of another version are not read.
fn version(envelope: Envelope) -> u8 {
    match envelope {
        Envelope::Notices => 2,
        Envelope::Impression | Envelope::Click | Envelope::Video | Envelope::Conversion => 1,
    }
}

const TEST: u8 = 1;
const PIXEL_BILLS: u8 = 2;
const HAS_USER: u8 = 4;
const HAS_MARKET: u8 = 8;

/// The groups of fields that an envelope has.
struct Needs {
    /// Whose lease, how much, until when; and what turns a clearing price into a charge.
    money: bool,
    user: bool,
    landing: bool,
    /// What a price is learned from.
    market: bool,
}

impl Needs {
    fn of(envelope: Envelope, billing: Billing) -> Self {
        let is_notice = envelope == Envelope::Notices;
        let is_impression = envelope == Envelope::Impression;
        Self {
            money: is_notice || (is_impression && billing == Billing::Pixel),
            user: is_impression,
            landing: envelope == Envelope::Click,
            market: is_notice,
        }
    }
}

pub(super) fn write(envelope: Envelope, token: &BidToken, out: &mut Vec<u8>) {
    let needs = Needs::of(envelope, token.billing);
    let flag = |on: bool, bit: u8| if on { bit } else { 0 };
    let mut out = Writer(out);
    out.byte(version(envelope));
    out.byte(
        flag(token.test, TEST)
            | flag(token.billing == Billing::Pixel, PIXEL_BILLS)
            | flag(needs.user && token.user_key.is_some(), HAS_USER)
            | flag(needs.market && token.market.is_some(), HAS_MARKET),
    );
    out.signed(token.bid_at_ms);
    out.text(token.campaign_id.as_str());
    out.text(token.creative_id.0.as_str());
    out.signed(token.creative_version);
    write_dimensions(token, &mut out);
    if needs.money {
        out.text(token.bidder_id.as_str());
        out.signed(token.reserved_nanos);
        out.signed(token.billing_window_ms);
        write_price(token, &mut out);
    }
    if needs.user {
        if let Some(user_key) = &token.user_key {
            out.text(user_key);
        }
        out.unsigned(token.counters.len() as u64);
        for counter in &token.counters {
            out.text(&counter.scope_id);
            out.signed(counter.window_ms);
        }
    }
    if needs.landing {
        out.text(&token.landing_url);
    }
    if let Some(market) = token.market.filter(|_| needs.market) {
        out.unsigned(market.0);
    }
}

pub(crate) fn read(envelope: Envelope, bid_id: BidId, bytes: &[u8]) -> Result<BidToken, Garbled> {
    let mut from = Reader(bytes);
    let token = read_from(envelope, bid_id, &mut from)?;
    if from.0.is_empty() {
        Ok(token)
    } else {
        Err(Garbled)
    }
}

/// What is left in `from` is the caller's.
pub(super) fn read_from(
    envelope: Envelope,
    bid_id: BidId,
    from: &mut Reader<'_>,
) -> Result<BidToken, Garbled> {
    if from.byte()? != version(envelope) {
        return Err(Garbled);
    }
    let flags = from.byte()?;
    let mut token = BidToken {
        bid_id,
        bid_at_ms: from.signed()?,
        campaign_id: CampaignId::from(from.text()?),
        creative_id: CreativeId::from(from.text()?),
        creative_version: from.signed()?,
        test: flags & TEST != 0,
        billing: if flags & PIXEL_BILLS == 0 {
            Billing::Notice
        } else {
            Billing::Pixel
        },
        ..BidToken::blank()
    };
    let needs = Needs::of(envelope, token.billing);
    read_dimensions(&mut token, from)?;
    if needs.money {
        token.bidder_id = BidderId::from(from.text()?);
        token.reserved_nanos = from.signed()?;
        token.billing_window_ms = from.signed()?;
        read_price(&mut token, from)?;
    }
    if needs.user {
        if flags & HAS_USER != 0 {
            token.user_key = Some(from.text()?.to_owned());
        }
        for _ in 0..from.unsigned()? {
            token.counters.push(CounterKey {
                scope_id: from.text()?.to_owned(),
                window_ms: from.signed()?,
            });
        }
    }
    if needs.landing {
        from.text()?.clone_into(&mut token.landing_url);
    }
    if needs.market && flags & HAS_MARKET != 0 {
        token.market = Some(Market(from.unsigned()?));
    }
    Ok(token)
}

fn write_price(token: &BidToken, out: &mut Writer<'_>) {
    out.text(&token.day.date);
    out.signed(token.day.start_ms.wrapping_sub(token.bid_at_ms));
    out.signed(token.day.end_ms.wrapping_sub(token.bid_at_ms));
    out.signed(token.price_cpm_micros);
    out.text(token.bid_currency.as_str());
    out.text(token.currency.as_str());
    out.signed(token.terms.rate_e9);
    out.signed(token.terms.multiplier_micros);
    out.signed(token.terms.fee_ppm);
    match &token.price_form {
        PriceForm::Plain => out.byte(0),
        PriceForm::Base64 => out.byte(1),
        PriceForm::Encrypted { key_name, unit, .. } => {
            out.byte(match unit {
                PriceUnit::CpiMicros => 2,
                PriceUnit::CpmMicros => 3,
            });
            out.text(key_name);
        }
    }
}

fn read_price(token: &mut BidToken, from: &mut Reader<'_>) -> Result<(), Garbled> {
    token.day = Day {
        date: from.text()?.to_owned(),
        start_ms: from.signed()?.wrapping_add(token.bid_at_ms),
        end_ms: from.signed()?.wrapping_add(token.bid_at_ms),
    };
    token.price_cpm_micros = from.signed()?;
    token.bid_currency = from.text()?.parse().map_err(|_| Garbled)?;
    token.currency = from.text()?.parse().map_err(|_| Garbled)?;
    token.terms = Terms {
        rate_e9: from.signed()?,
        multiplier_micros: from.signed()?,
        fee_ppm: from.signed()?,
    };
    token.price_form = match from.byte()? {
        0 => PriceForm::Plain,
        1 => PriceForm::Base64,
        unit @ (2 | 3) => PriceForm::Encrypted {
            key_name: from.text()?.to_owned(),
            unit: if unit == 2 {
                PriceUnit::CpiMicros
            } else {
                PriceUnit::CpmMicros
            },
            // Of the URL's making alone.
            suffix: None,
        },
        _ => return Err(Garbled),
    };
    Ok(())
}

/// Ids that stand in the token already are not written twice: one bit says that they are the same.
fn write_dimensions(token: &BidToken, out: &mut Writer<'_>) {
    let of = &token.dimensions;
    let same_campaign = of.campaign == token.campaign_id.as_str();
    let same_creative = of.creative == token.creative_id.as_str();
    out.byte(u8::from(same_campaign) | u8::from(same_creative) << 1);
    if !same_campaign {
        out.text(&of.campaign);
    }
    if !same_creative {
        out.text(&of.creative);
    }
    for text in [
        &of.advertiser,
        &of.exchange,
        &of.deal,
        &of.country,
        &of.device,
        &of.os,
        &of.format,
        &of.size,
        &of.placement,
        &of.site_or_bundle,
    ] {
        out.text(text);
    }
}

fn read_dimensions(token: &mut BidToken, from: &mut Reader<'_>) -> Result<(), Garbled> {
    let same = from.byte()?;
    let campaign = if same & 1 == 0 {
        from.text()?
    } else {
        token.campaign_id.as_str()
    };
    let creative = if same & 2 == 0 {
        from.text()?
    } else {
        token.creative_id.as_str()
    };
    token.dimensions = Dimensions {
        campaign: campaign.to_owned(),
        creative: creative.to_owned(),
        advertiser: from.text()?.to_owned(),
        exchange: from.text()?.to_owned(),
        deal: from.text()?.to_owned(),
        country: from.text()?.to_owned(),
        device: from.text()?.to_owned(),
        os: from.text()?.to_owned(),
        format: from.text()?.to_owned(),
        size: from.text()?.to_owned(),
        placement: from.text()?.to_owned(),
        site_or_bundle: from.text()?.to_owned(),
    };
    Ok(())
}

impl BidToken {
    /// All defaults: what stands for the fields that an envelope leaves out.
    pub(super) fn blank() -> Self {
        Self {
            bid_id: BidId(0),
            bid_at_ms: 0,
            campaign_id: CampaignId::from(""),
            creative_id: CreativeId::from(""),
            creative_version: 0,
            day: Day {
                date: String::new(),
                start_ms: 0,
                end_ms: 0,
            },
            bidder_id: BidderId::from(""),
            price_cpm_micros: 0,
            bid_currency: Currency::USD,
            currency: Currency::USD,
            terms: Terms::default(),
            reserved_nanos: 0,
            billing_window_ms: 0,
            user_key: None,
            dimensions: Dimensions::default(),
            billing: Billing::Notice,
            price_form: PriceForm::Plain,
            market: None,
            counters: Vec::new(),
            landing_url: String::new(),
            test: false,
        }
    }
}
