//! Files of what is not worth a bid and of where devices are: read at the start, when a bad one ends it, and read anew when
//! they change, when a bad one leaves what was there.

use crate::geo_ip::GeoIp;
use crate::metrics::ListMetrics;
use bidding_engine::{AdsTxt, Crawlers, Networks, Traffic};
use platform::{SettingHelp, Settings, Shutdown};
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What the files say now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lists {
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) locations: Option<Arc<GeoIp>>,
}

/// Those that the settings name, as they were at the start.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListFiles {
    files: Vec<ListFile>,
    lists: Lists,
    look_every: Duration,
}

#[derive(Clone, Debug)]
struct ListFile {
    kind: Kind,
    path: PathBuf,
    /// Of what was last read, or tried; `None` while there is no file.
    stamp: Option<Stamp>,
}

/// Changes whenever a file is written or another takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    inode: u64,
    bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Crawlers,
    DataCenters,
    AdsTxt,
    AppAdsTxt,
    Locations,
}

#[derive(Debug, thiserror::Error)]
enum BadFile {
    #[error("{0}")]
    Unreadable(#[from] std::io::Error),
    #[error("is longer than {0} bytes")]
    TooLong(u64),
    #[error("is no text in UTF-8")]
    NoText,
    #[error("{0}")]
    List(#[from] bidding_engine::BadList),
    #[error("{0}")]
    Locations(#[from] maxminddb::MaxMindDbError),
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Crawlers,
        Self::DataCenters,
        Self::AdsTxt,
        Self::AppAdsTxt,
        Self::Locations,
    ];

    fn setting(self) -> &'static str {
        match self {
            Self::Crawlers => "CRAWLERS_FILE",
            Self::DataCenters => "DATA_CENTERS_FILE",
            Self::AdsTxt => "ADS_TXT_FILE",
            Self::AppAdsTxt => "APP_ADS_TXT_FILE",
            Self::Locations => "GEOIP_FILE",
        }
    }

    /// In metrics and logs.
    fn word(self) -> &'static str {
        match self {
            Self::Crawlers => "crawlers",
            Self::DataCenters => "data_centers",
            Self::AdsTxt => "ads_txt",
            Self::AppAdsTxt => "app_ads_txt",
            Self::Locations => "geoip",
        }
    }

    /// The longest file that is read.
    fn limit_bytes(self) -> u64 {
        match self {
            Self::Crawlers => 8 << 20,
            Self::DataCenters => 128 << 20,
            Self::AdsTxt | Self::AppAdsTxt | Self::Locations => 1 << 30,
        }
    }

    /// Puts what the bytes say into `lists`, and tells how many entries that is.
    fn read(self, bytes: Vec<u8>, lists: &mut Lists) -> Result<usize, BadFile> {
        if self == Self::Locations {
            let locations = GeoIp::new(bytes)?;
            let entries = locations.nodes();
            lists.locations = Some(Arc::new(locations));
            return Ok(entries);
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| BadFile::NoText)?;
        let traffic = Arc::make_mut(&mut lists.traffic);
        Ok(match self {
            Self::Crawlers => put(&mut traffic.crawlers, Crawlers::parse(text)?, Crawlers::len),
            Self::DataCenters => put(&mut traffic.data_centers, Networks::parse(text)?, Networks::len),
            Self::AdsTxt => put(&mut traffic.ads_txt, AdsTxt::sites(text)?, AdsTxt::len),
            Self::AppAdsTxt | Self::Locations => {
                put(&mut traffic.app_ads_txt, AdsTxt::apps(text)?, AdsTxt::len)
            }
        })
    }
}

fn put<T>(place: &mut Option<Arc<T>>, list: T, len: fn(&T) -> usize) -> usize {
    let entries = len(&list);
    *place = Some(Arc::new(list));
    entries
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            inode: metadata.ino(),
            bytes: metadata.len(),
        }
    }

    fn at(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|metadata| Self::of(&metadata))
    }
}

impl ListFile {
    fn read(&self, lists: &mut Lists) -> Result<usize, BadFile> {
        let limit_bytes = self.kind.limit_bytes();
        let mut bytes = Vec::new();
        File::open(&self.path)?
            .take(limit_bytes + 1)
            .read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit_bytes {
            return Err(BadFile::TooLong(limit_bytes));
        }
        self.kind.read(bytes, lists)
    }
}

impl ListFiles {
    pub(crate) const HELP: &'static [SettingHelp] = &[
        (
            "CRAWLERS_FILE",
            "user agents of crawlers: a text a line, or the IAB's list of spiders and bots",
        ),
        (
            "DATA_CENTERS_FILE",
            "addresses of data centres: a network, address or range a line",
        ),
        (
            "ADS_TXT_FILE",
            "whom sites name as sellers: domain, then the fields of ads.txt, a record a line",
        ),
        (
            "APP_ADS_TXT_FILE",
            "the same of apps: bundle, then the fields of app-ads.txt",
        ),
        (
            "GEOIP_FILE",
            "MaxMind database of places, for devices of which the request does not say where they are",
        ),
        (
            "LISTS_RELOAD_SECONDS",
            "how often those files are looked at for changes (10)",
        ),
    ];

    /// Reads the files as well; mistakes stay in `settings`.
    pub(crate) fn read(settings: &mut Settings) -> Self {
        let mut found = Self {
            look_every: Duration::from_secs(settings.parse_within("LISTS_RELOAD_SECONDS", 10, 1..=86_400)),
            ..Self::default()
        };
        for kind in Kind::ALL {
            let Some(path) = settings.optional(kind.setting()).map(PathBuf::from) else {
                continue;
            };
            let stamp = Stamp::at(&path);
            let file = ListFile { kind, path, stamp };
            match file.read(&mut found.lists) {
                Ok(_) => found.files.push(file),
                Err(error) => settings.mistake(kind.setting(), file.path.display(), error),
            }
        }
        found
    }

    pub(crate) fn look_every(&mut self, interval: Duration) {
        self.look_every = interval;
    }

    /// Starts looking for changes; the receiver has what the files said last.
    pub(crate) fn watch(&self, metrics: ListMetrics, shutdown: &Shutdown) -> watch::Receiver<Lists> {
        let (lists, receiver) = watch::channel(self.lists.clone());
        for file in &self.files {
            metrics.loaded(file.kind.word(), file.kind.entries(&self.lists));
        }
        if self.files.is_empty() {
            return receiver;
        }
        let mut watched = Watched {
            files: self.files.clone(),
            lists,
            metrics,
        };
        let (stop, look_every) = (shutdown.background().clone(), self.look_every);
        shutdown.spawn("list files", async move {
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(look_every) => {}
                }
                // Reading takes seconds at worst, and no thread that answers bids.
                let looked = tokio::task::spawn_blocking(move || {
                    watched.look();
                    watched
                });
                match looked.await {
                    Ok(looked) => watched = looked,
                    Err(error) => {
                        tracing::error!(%error, "list files are no longer looked at");
                        return;
                    }
                }
            }
        });
        receiver
    }
}

impl Kind {
    fn entries(self, lists: &Lists) -> usize {
        let traffic = &lists.traffic;
        let found = match self {
            Self::Crawlers => traffic.crawlers.as_ref().map(|list| list.len()),
            Self::DataCenters => traffic.data_centers.as_ref().map(|list| list.len()),
            Self::AdsTxt => traffic.ads_txt.as_ref().map(|list| list.len()),
            Self::AppAdsTxt => traffic.app_ads_txt.as_ref().map(|list| list.len()),
            Self::Locations => lists.locations.as_ref().map(|locations| locations.nodes()),
        };
        found.unwrap_or(0)
    }
}

struct Watched {
    files: Vec<ListFile>,
    lists: watch::Sender<Lists>,
    metrics: ListMetrics,
}

impl Watched {
    /// Each change is tried once; a bad file that is written again is a change.
    fn look(&mut self) {
        for file in &mut self.files {
            let stamp = Stamp::at(&file.path);
            if stamp == file.stamp {
                continue;
            }
            file.stamp = stamp;
            let (list, path) = (file.kind.word(), file.path.display());
            let mut lists = self.lists.borrow().clone();
            match file.read(&mut lists) {
                Ok(entries) => {
                    tracing::info!(list, %path, entries, "a list was read anew");
                    self.metrics.loaded(list, entries);
                    self.lists.send_replace(lists);
                }
                Err(error) => {
                    tracing::warn!(list, %path, %error, "a list cannot be read, what it said before stands");
                    self.metrics.failed(list);
                }
            }
        }
    }
}
