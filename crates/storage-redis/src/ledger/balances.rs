//! Accounts for readers, and forgetting them.

use super::RedisLedger;
use super::answers::{limit, list, number, text};
use super::groups::group_of;
use crate::router::{Call, GROUPS, Lane};
use domain::id::{AdvertiserId, CampaignId};
use domain::period::Day;
use futures_util::future::{join_all, try_join_all};
use redis::Value;
use std::collections::BTreeMap;
use storage::StorageError;
use storage::spend_ledger::{AccountBalance, Balance};

/// Of one script.
const ACCOUNTS_IN_ONE: usize = 500;

/// Campaign, and date or empty.
type Name = (String, String);

impl RedisLedger {
    pub(super) async fn balances_of(
        &self,
        campaigns: &[(AdvertiserId, CampaignId)],
    ) -> Result<Vec<Balance>, StorageError> {
        let mut by_group: BTreeMap<u32, Vec<Vec<u8>>> = BTreeMap::new();
        for (advertiser_id, campaign_id) in campaigns {
            let of_group = by_group.entry(group_of(advertiser_id)).or_default();
            of_group.push(campaign_id.0.clone().into_bytes());
        }
        self.read_accounts("campaigns", by_group).await
    }

    pub(super) async fn all_balances(
        &self,
        after: Option<(CampaignId, String)>,
        limit: u32,
    ) -> Result<Vec<Balance>, StorageError> {
        let after = after.map_or(Vec::new(), |(campaign_id, date)| member(&(campaign_id.0, date)));
        let names = (0..GROUPS).map(|group| self.names(group, &after, limit));
        let mut names: Vec<(Name, u32)> = try_join_all(names).await?.into_iter().flatten().collect();
        names.sort_unstable();
        names.truncate(limit as usize);
        let mut by_group: BTreeMap<u32, Vec<Vec<u8>>> = BTreeMap::new();
        for (name, group) in &names {
            by_group.entry(*group).or_default().push(member(name));
        }
        self.read_accounts("accounts", by_group).await
    }

    async fn names(&self, group: u32, after: &[u8], limit: u32) -> Result<Vec<(Name, u32)>, StorageError> {
        let args = [b"names".to_vec(), after.to_vec(), limit.to_string().into_bytes()];
        let names = self.read_books(group, args.to_vec()).await?;
        names
            .into_iter()
            .map(|name| {
                let name = text(name)?;
                let (campaign_id, date) = name.split_once('\0').unwrap_or((&name, ""));
                Ok(((campaign_id.to_owned(), date.to_owned()), group))
            })
            .collect()
    }

    async fn read_accounts(
        &self,
        what: &str,
        by_group: BTreeMap<u32, Vec<Vec<u8>>>,
    ) -> Result<Vec<Balance>, StorageError> {
        let chunks = by_group
            .iter()
            .flat_map(|(group, names)| names.chunks(ACCOUNTS_IN_ONE).map(|names| (*group, names)));
        let read = chunks.map(|(group, names)| {
            let mut args = vec![what.as_bytes().to_vec()];
            args.extend_from_slice(names);
            self.read_books(group, args)
        });
        let found = try_join_all(read).await?.into_iter().flatten();
        let mut balances = found.map(balance).collect::<Result<Vec<_>, _>>()?;
        let key = |of: &Balance| {
            (
                of.campaign_id.clone(),
                of.day.as_ref().map(|day| day.date.clone()),
            )
        };
        balances.sort_by_key(key);
        balances.dedup_by_key(|of| key(of));
        Ok(balances)
    }

    async fn read_books(&self, group: u32, mut args: Vec<Vec<u8>>) -> Result<Vec<Value>, StorageError> {
        args.insert(0, self.clock());
        let call = Call {
            group,
            lane: Lane::Notices,
            script: &self.scripts.balances,
            keys: &[],
            args: &args,
            follows_moves: false,
        };
        self.answered(&call).await?.list()
    }

    /// Every group, also after one has failed.
    pub(super) async fn forget_before(&self, before_ms: i64) -> Result<(), StorageError> {
        let groups = (0..GROUPS).map(|group| self.forget_in(group, before_ms));
        join_all(groups).await.into_iter().collect()
    }

    async fn forget_in(&self, group: u32, before_ms: i64) -> Result<(), StorageError> {
        let (mut skipped, mut part) = (0, 0);
        loop {
            let args = [before_ms, skipped, part].map(|figure| figure.to_string().into_bytes());
            let args = [vec![self.clock()], args.to_vec()].concat();
            let call = Call {
                group,
                lane: Lane::Notices,
                script: &self.scripts.forget,
                keys: &[],
                args: &args,
                follows_moves: false,
            };
            let mut answer = self.answered(&call).await?;
            if answer.word == "done" {
                return Ok(());
            }
            (skipped, part) = (answer.number()?, answer.number()?);
        }
    }
}

fn member((campaign_id, date): &Name) -> Vec<u8> {
    format!("{campaign_id}\0{date}").into_bytes()
}

fn balance(row: Value) -> Result<Balance, StorageError> {
    let mut fields = list(row)?.into_iter();
    let mut next = || fields.next().unwrap_or_default();
    let (campaign_id, date) = (text(next())?, text(next())?);
    let (start_ms, end_ms) = (number(next())?, number(next())?);
    let account = AccountBalance {
        limit_nanos: limit(next())?,
        spent_nanos: number(next())?,
        pending_nanos: number(next())?,
        leased_nanos: number(next())?,
    };
    Ok(Balance {
        campaign_id: CampaignId(campaign_id),
        day: (!date.is_empty()).then_some(Day {
            date,
            start_ms,
            end_ms,
        }),
        account,
        over_delivery_nanos: number(next())?,
        settled_bids: number(next())?,
    })
}
