//! Requests that no campaign should pay for: known crawlers, data centres, sellers whom a publisher does not name, and
//! supply chains that the exchange's policy excludes. Found before any campaign is looked at.

mod ads_txt;
mod crawlers;
mod networks;

use crate::ExchangeState;
use crate::facts::Facts;
use crate::hash::{exact, mix};
use crate::reason::NoBidReason;
use crate::words::{domain, domain_and_parents};
use domain::exchange::{AdsTxtPolicy, ChainPolicy, SupplyPolicy};
use openrtb::BidRequest;
use openrtb::request::{InventoryKind, SupplyChain, SupplyChainNode};
use std::net::IpAddr;
use std::sync::Arc;

pub use ads_txt::AdsTxt;
pub use crawlers::Crawlers;
pub use networks::Networks;

/// Lists that a process is given; those it is not given say nothing.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    pub crawlers: Option<Arc<Crawlers>>,
    pub data_centers: Option<Arc<Networks>>,
    /// Of sites.
    pub ads_txt: Option<Arc<AdsTxt>>,
    /// Of apps.
    pub app_ads_txt: Option<Arc<AdsTxt>>,
}

/// Why a text is no list of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadList {
    #[error("line {line}: expected {expected}")]
    Line { line: usize, expected: &'static str },
    #[error("has no entry")]
    Empty,
    #[error("has more than {0} entries")]
    TooLong(usize),
    #[error("needs more memory than a list may")]
    TooLarge,
}

/// Lines with something in them, from 1; what follows a `#` is a comment.
fn entries(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate();
    let bare = lines.map(|(at, line)| (at + 1, line.split('#').next().unwrap_or_default().trim()));
    bare.filter(|(_, line)| !line.is_empty())
}

impl Traffic {
    /// What can be seen before the request's words are.
    pub(crate) fn refuses_source(&self, request: &BidRequest<'_>) -> Option<NoBidReason> {
        let device = &request.device;
        let is_crawler = self
            .crawlers
            .as_deref()
            .zip(device.ua)
            .is_some_and(|(crawlers, user_agent)| crawlers.names(user_agent));
        if is_crawler {
            return Some(NoBidReason::WebCrawler);
        }
        let data_centers = self.data_centers.as_deref()?;
        let addresses = [device.ip, device.ipv6].into_iter().flatten();
        addresses
            .filter_map(|text| text.trim().parse::<IpAddr>().ok())
            .any(|address| data_centers.contains(address))
            .then_some(NoBidReason::DataCenterIp)
    }

    /// What the exchange's policy says of the sellers.
    pub(crate) fn refuses_sellers(
        &self,
        exchange: &ExchangeState,
        request: &BidRequest<'_>,
        facts: &Facts,
    ) -> Option<NoBidReason> {
        let policy = &exchange.serving().exchange.spec.supply;
        let chain = request.source.schain.as_ref();
        refuses_chain(policy, exchange.blocked_nodes(), chain)
            .or_else(|| self.refuses_by_ads_txt(policy, request, facts))
    }

    fn refuses_by_ads_txt(
        &self,
        policy: &SupplyPolicy,
        request: &BidRequest<'_>,
        facts: &Facts,
    ) -> Option<NoBidReason> {
        if policy.ads_txt == AdsTxtPolicy::Ignored {
            return None;
        }
        let inventory = &request.inventory;
        let (list, publisher) = match inventory.kind {
            InventoryKind::Site => (self.ads_txt.as_deref(), facts.sites.as_slice()),
            InventoryKind::App => (self.app_ads_txt.as_deref(), facts.app.as_slice()),
            // There is no such list of screens, and of unknown places nothing can be looked up.
            InventoryKind::Dooh | InventoryKind::Unknown => (None, [].as_slice()),
        };
        let authorized = list.and_then(|list| {
            // The site's own domain and those above it: the nearest one that has a list speaks for it.
            let own = publisher.iter().copied().find(|name| list.knows(*name))?;
            let partner = inventory.inventorypartnerdomain.map(domain);
            is_authorized(list, [Some(own), partner], policy, request)
        });
        match authorized {
            Some(true) => None,
            Some(false) => Some(NoBidReason::AdsTxtViolation),
            None => (policy.ads_txt == AdsTxtPolicy::Required).then_some(NoBidReason::AdsTxtUnavailable),
        }
    }
}

/// Whether one of the publishers names every seller; `None` when the request names no seller.
fn is_authorized(
    list: &AdsTxt,
    publishers: [Option<u64>; 2],
    policy: &SupplyPolicy,
    request: &BidRequest<'_>,
) -> Option<bool> {
    let names = |system: &str, account: &str| {
        let seller = seller(system, account);
        publishers
            .into_iter()
            .flatten()
            .any(|publisher| list.names(publisher, seller))
    };
    let nodes = request
        .source
        .schain
        .as_ref()
        .map(|chain| chain.nodes)
        .unwrap_or_default();
    // A node that takes no part in the payment is not in ads.txt.
    let mut paid = nodes.iter().filter(|node| node.hp != Some(false)).peekable();
    if paid.peek().is_some() {
        return Some(paid.all(|node| named(node).is_some_and(|(system, account)| names(system, account))));
    }
    let account = request
        .inventory
        .publisher
        .id
        .filter(|id| !id.trim().is_empty())?;
    Some(names(policy.seller_domain.as_deref()?, account))
}

/// OpenRTB 2.6, 3.2.25.
fn refuses_chain(
    policy: &SupplyPolicy,
    blocked: &[u64],
    chain: Option<&SupplyChain<'_>>,
) -> Option<NoBidReason> {
    let Some(chain) = chain else {
        return (policy.chain == ChainPolicy::Complete).then_some(NoBidReason::IncompleteSupplyChain);
    };
    let is_complete =
        || chain.complete && !chain.nodes.is_empty() && chain.nodes.iter().all(|node| named(node).is_some());
    if policy.chain != ChainPolicy::Any && !is_complete() {
        return Some(NoBidReason::IncompleteSupplyChain);
    }
    if usize::try_from(policy.max_nodes).is_ok_and(|most| chain.nodes.len() > most) {
        return Some(NoBidReason::SupplyChainTooLong);
    }
    let is_blocked = |node: &SupplyChainNode<'_>| {
        let mut systems = node.asi.into_iter().flat_map(domain_and_parents);
        let account = named(node).map(|(system, account)| seller(system, account));
        systems.any(|system| blocked.binary_search(&system).is_ok())
            || account.is_some_and(|account| blocked.binary_search(&account).is_ok())
    };
    (!blocked.is_empty() && chain.nodes.iter().any(is_blocked)).then_some(NoBidReason::BlockedSupplyChainNode)
}

/// System and account, where the node has both.
fn named<'a>(node: &SupplyChainNode<'a>) -> Option<(&'a str, &'a str)> {
    let given = |text: Option<&'a str>| text.filter(|text| !text.trim().is_empty());
    given(node.asi).zip(given(node.sid))
}

/// An account of an advertising system.
fn seller(system: &str, account: &str) -> u64 {
    mix(domain(system), exact(account.trim()))
}

/// As `supply.blocked_nodes` has it: a system, or one account of it.
pub(crate) fn blocked_node(text: &str) -> u64 {
    match text.split_once('/') {
        Some((system, account)) => seller(system, account),
        None => domain(text),
    }
}
