//! What follows an auction: the exchange's notices, the user's browser with its pixel and perhaps a click.

use super::auction::{Outcome, Terms, decimal};
use super::tally::Tally;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// Share of the wins that are shown, and so billed.
const RENDERED: f64 = 0.94;
/// Share of the impressions that are clicked.
const CLICKED: f64 = 0.012;
/// Share of the notices that exchanges send twice.
const REPEATED: f64 = 0.03;

/// A bid of ours as the exchange received it.
pub(super) struct Received {
    pub bid_id: String,
    pub imp_id: String,
    pub nurl: String,
    pub burl: String,
    pub lurl: String,
    pub adm: String,
}

/// Sends notices over HTTP, each after the delay it has in life.
#[derive(Clone)]
pub(super) struct Notifier {
    pub client: reqwest::Client,
    pub tally: Arc<Tally>,
    pub tasks: TaskTracker,
}

impl Notifier {
    /// Starts what follows from the outcome.
    pub(super) fn follow_up(
        &self,
        terms: &Terms,
        bid: Received,
        outcome: &Outcome,
        random: &mut fastrand::Rng,
    ) {
        let macros = Macros {
            terms_request_id: terms.request_id.clone(),
            bid_id: bid.bid_id,
            imp_id: bid.imp_id,
        };
        match *outcome {
            Outcome::Won { clearing_micros } => {
                let story = WinStory {
                    clearing_micros,
                    nurl: macros.fill(&bid.nurl, &decimal(clearing_micros), 0, ""),
                    burl: macros.fill(&bid.burl, &decimal(clearing_micros), 0, ""),
                    adm: macros.fill(&bid.adm, &decimal(clearing_micros), 0, ""),
                    notice_delay: Duration::from_millis(random.u64(20..250)),
                    render_delay: Duration::from_millis(random.u64(200..2_000)),
                    rendered: random.f64() < RENDERED,
                    clicked: random.f64() < CLICKED,
                    repeated: random.f64() < REPEATED,
                };
                let notifier = self.clone();
                self.tasks.spawn(async move { notifier.win(story).await });
            }
            Outcome::Lost {
                reason,
                min_to_win_micros,
            } => {
                let lurl = macros.fill(&bid.lurl, "", reason, &decimal(min_to_win_micros));
                let delay = Duration::from_millis(random.u64(20..250));
                let notifier = self.clone();
                self.tasks.spawn(async move {
                    tokio::time::sleep(delay).await;
                    notifier.get(&lurl).await;
                });
            }
            Outcome::Nonsense => self
                .tally
                .error("a bid for an imp that was not offered".to_owned()),
        }
    }

    async fn win(&self, story: WinStory) {
        tokio::time::sleep(story.notice_delay).await;
        self.get(&story.nurl).await;
        if !story.rendered {
            return;
        }
        tokio::time::sleep(story.render_delay).await;
        if self.get(&story.burl).await {
            // One impression's price in nanos is the CPM in micros.
            self.tally
                .notices_nanos
                .fetch_add(story.clearing_micros, Ordering::Relaxed);
        }
        if story.repeated {
            self.get(&story.nurl).await;
            self.get(&story.burl).await;
        }
        if let Some(pixel) = url_in(&story.adm, "/event/impression") {
            self.tally.impressions.fetch_add(1, Ordering::Relaxed);
            self.get(&pixel).await;
        } else {
            self.tally.error("markup without an impression pixel".to_owned());
        }
        if story.clicked
            && let Some(click) = url_in(&story.adm, "/event/click")
        {
            self.tally.clicks.fetch_add(1, Ordering::Relaxed);
            self.get(&click).await;
        }
    }

    /// Whether the notice was acknowledged.
    async fn get(&self, url: &str) -> bool {
        let result = self.client.get(url).send().await;
        let acknowledged = result.as_ref().is_ok_and(|answer| {
            answer.status().is_success() || answer.status() == reqwest::StatusCode::FOUND
        });
        if !acknowledged {
            let path = url.split('?').next().unwrap_or_default();
            self.tally.notice_failed(match result {
                Ok(answer) => format!("{path}: {}", answer.status()),
                Err(error) => format!("{path}: {}", error.without_url()),
            });
        }
        acknowledged
    }
}

struct WinStory {
    clearing_micros: i64,
    nurl: String,
    burl: String,
    adm: String,
    notice_delay: Duration,
    render_delay: Duration,
    rendered: bool,
    clicked: bool,
    repeated: bool,
}

struct Macros {
    terms_request_id: String,
    bid_id: String,
    imp_id: String,
}

impl Macros {
    /// Plain text replacement, as exchanges do it (OpenRTB 2.6, 4.4).
    fn fill(&self, text: &str, price: &str, loss: i64, min_to_win: &str) -> String {
        text.replace("${AUCTION_ID}", &self.terms_request_id)
            .replace("${AUCTION_BID_ID}", &self.bid_id)
            .replace("${AUCTION_IMP_ID}", &self.imp_id)
            .replace("${AUCTION_PRICE}", price)
            .replace("${AUCTION_CURRENCY}", "USD")
            .replace("${AUCTION_LOSS}", &loss.to_string())
            .replace("${AUCTION_MIN_TO_WIN}", min_to_win)
    }
}

/// The first URL in the markup whose path is `path`, whatever the markup's language is.
fn url_in(markup: &str, path: &str) -> Option<String> {
    let at = markup.find(path)?;
    let ends =
        |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '[' | ']' | '\\' | '(' | ')');
    let begin = markup[..at].rfind(ends).map_or(0, |index| index + 1);
    let end = markup[at..].find(ends).map_or(markup.len(), |length| at + length);
    Some(markup[begin..end].replace("&amp;", "&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pixel_is_found_in_html_vast_and_native_markup() {
        let url = "http://127.0.0.1:1/event/impression?t=x&u=y";
        for markup in [
            format!("<a href='z'><img src=\"{}\"></a>", url.replace('&', "&amp;")),
            format!("<Impression><![CDATA[{url}]]></Impression>"),
            format!("{{\"eventtrackers\":[{{\"url\":\"{url}\"}}]}}"),
        ] {
            assert_eq!(
                url_in(&markup, "/event/impression").as_deref(),
                Some(url),
                "{markup}"
            );
        }
        assert_eq!(url_in("<b>nothing</b>", "/event/impression"), None);
    }
}
