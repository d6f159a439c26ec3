//! The file of the history: tables of samples in three finenesses, of finished builds, and of files by week.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use redb::backends::InMemoryBackend;
use redb::{
    Builder, Database, Durability, ReadTransaction, ReadableDatabase as _, ReadableTable as _,
    ReadableTableMetadata as _, Table, TableDefinition, WriteTransaction,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::retention::{
    KEEP_BUILDS, MOST_BUILDS, MOST_BYTES, MOST_FILES, SURPLUS, TIERS, Tier, WEEK, WEEKS, begin,
};
use super::sample::{Batch, FileSum, HostUse, Sample, merge, pack, unpack};
use super::seal;
use crate::view::BuildRow;

/// Bytes of the file that are kept in memory.
const CACHE: usize = 4 << 20;

/// Hosts whose names are known at a time.
const MOST_NAMES: u64 = 20_000;

/// Hosts of one sample.
const MOST_HOSTS: usize = 2_000;

/// Seconds of a sample as it comes.
const SECONDS: u16 = 10;

type Rows<'a> = TableDefinition<'a, u64, &'static [u8]>;

/// Number and last sight of each host.
const NAMES: TableDefinition<'_, &str, (u32, u64)> = TableDefinition::new("names");

/// Builds by their beginning and key.
const BUILDS: TableDefinition<'_, (u64, &str), &[u8]> = TableDefinition::new("builds");

/// Files by week and name.
const FILES: TableDefinition<'_, (u64, &str), &[u8]> = TableDefinition::new("files");

/// Why there is no history.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// The file cannot be opened: somebody else has it, it is damaged, or there is no place for it.
    #[error("the history {} cannot be opened: {error}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        error: Box<redb::Error>,
    },
    /// It cannot be read or written.
    #[error("the history cannot be used: {0}")]
    Use(Box<redb::Error>),
    /// It is not open now, for a reason that was logged.
    #[error("{0}")]
    Closed(String),
}

/// An open file.
#[derive(Debug)]
pub struct Store {
    /// None only while it is closed.
    db: RwLock<Option<Database>>,
    /// None in memory.
    path: Option<PathBuf>,
    most_bytes: u64,
}

/// A build that is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PastBuild {
    /// Name of the submitter, whose number means nothing any more.
    pub client_name: String,
    /// All that is known of it.
    #[serde(flatten)]
    pub row: BuildRow,
}

impl Store {
    /// Opens or makes a file.
    ///
    /// # Errors
    /// It is in use, damaged, or cannot be made.
    pub fn open(path: &Path) -> Result<Store, HistoryError> {
        Store::open_bounded(path, MOST_BYTES)
    }

    /// The same with another bound on its size, in bytes.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_bounded(path: &Path, most_bytes: u64) -> Result<Store, HistoryError> {
        let opening = seal::check(path).map_err(|error| HistoryError::Open {
            path: path.to_owned(),
            error: Box::new(redb::Error::Io(error)),
        })?;
        let opened = || {
            let mut db = Builder::new().set_cache_size(CACHE).create(path)?;
            // Damage is found now and not by a page that makes no sense later.
            db.check_integrity()?;
            make_tables(&db)?;
            Ok(db)
        };
        let db = opened();
        opening.done();
        let db = db.map_err(|error: redb::Error| HistoryError::Open {
            path: path.to_owned(),
            error: Box::new(error),
        })?;
        Ok(Store {
            db: RwLock::new(Some(db)),
            path: Some(path.to_owned()),
            most_bytes,
        })
    }

    /// One that lives as long as the process.
    ///
    /// # Errors
    /// There is no memory.
    pub fn in_memory() -> Result<Store, HistoryError> {
        let made = || {
            let db = Builder::new()
                .set_cache_size(CACHE)
                .create_with_backend(InMemoryBackend::new())?;
            make_tables(&db)?;
            Ok(db)
        };
        Ok(Store {
            db: RwLock::new(Some(made().map_err(used)?)),
            path: None,
            most_bytes: MOST_BYTES,
        })
    }

    /// Adds what happened in ten seconds.
    ///
    /// # Errors
    /// The file cannot be written, for instance because the disk is full. Nothing of the batch is kept then.
    pub fn add(&self, batch: &Batch) -> Result<(), HistoryError> {
        self.add_all(std::iter::once(batch))
    }

    /// Adds several batches at once: all of them or none.
    ///
    /// # Errors
    /// As [`Store::add`].
    pub fn add_all<B: std::borrow::Borrow<Batch>>(
        &self,
        batches: impl Iterator<Item = B>,
    ) -> Result<(), HistoryError> {
        self.write(|transaction| {
            let mut names = transaction.open_table(NAMES)?;
            let mut builds = transaction.open_table(BUILDS)?;
            let mut files = transaction.open_table(FILES)?;
            let mut tiers = Vec::with_capacity(TIERS.len());
            for tier in TIERS {
                let samples = transaction.open_table(Rows::new(tier.samples))?;
                let hosts = transaction.open_table(Rows::new(tier.hosts))?;
                tiers.push((tier.step, samples, hosts));
            }
            for batch in batches {
                let batch = batch.borrow();
                let uses = hosts_of(&mut names, batch)?;
                for (step, samples, hosts) in &mut tiers {
                    let at = begin(batch.at, *step);
                    add_sample(samples, at, &batch.sample)?;
                    if !uses.is_empty() {
                        add_hosts(hosts, at, &uses)?;
                    }
                }
                for build in &batch.builds {
                    let key = key_of(&build.row);
                    if let Ok(row) = serde_json::to_vec(build) {
                        builds.insert((build.row.begun, key.as_str()), row.as_slice())?;
                    }
                }
                let week = begin(batch.at, WEEK);
                for (file, sum) in &batch.files {
                    add_file(&mut files, week, file, sum)?;
                }
            }
            Ok(())
        })
    }

    /// Forgets what is too old, and the oldest of everything if the file is too big.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn prune(&self, now: u64) -> Result<(), HistoryError> {
        let is_too_big = self.is_too_big();
        self.write(|transaction| {
            for tier in TIERS {
                let oldest = now.saturating_sub(tier.keep);
                for name in [tier.samples, tier.hosts] {
                    let mut table = transaction.open_table(Rows::new(name))?;
                    table.retain_in(..oldest, |_, _| false)?;
                    if is_too_big {
                        drop_oldest(&mut table)?;
                    }
                }
            }
            let year_ago = now.saturating_sub(KEEP_BUILDS);
            let mut names = transaction.open_table(NAMES)?;
            names.retain(|_, (_, seen)| seen >= year_ago)?;
            let mut builds = transaction.open_table(BUILDS)?;
            builds.retain_in(..(year_ago, ""), |_, _| false)?;
            while builds.len()? > MOST_BUILDS {
                builds.pop_first()?;
            }
            let mut files = transaction.open_table(FILES)?;
            let week = begin(now, WEEK);
            files.retain_in(..(week.saturating_sub(WEEKS * WEEK), ""), |_, _| false)?;
            keep_slowest(&mut files, week)
        })?;
        if is_too_big {
            let mut db = self.db.write().unwrap_or_else(PoisonError::into_inner);
            // What is free inside the file goes back to the system.
            if let Some(Err(error)) = db.as_mut().map(Database::compact) {
                tracing::debug!("the history was not compacted: {error}");
            }
        }
        Ok(())
    }

    /// Bytes on the disk.
    pub fn size(&self) -> u64 {
        let path = self.path.as_deref();
        path.and_then(|path| std::fs::metadata(path).ok())
            .map_or(0, |about| about.len())
    }

    fn is_too_big(&self) -> bool {
        self.size() > self.most_bytes
    }

    fn write(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), HistoryError> {
        let all = || {
            let db = self.db();
            let db = db.as_ref().ok_or(redb::Error::DatabaseClosed)?;
            let mut transaction = db.begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            change(&transaction)?;
            transaction.commit()?;
            Ok(())
        };
        all().map_err(used)
    }

    fn db(&self) -> RwLockReadGuard<'_, Option<Database>> {
        self.db.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_read(&self) -> Result<ReadTransaction, redb::Error> {
        let db = self.db();
        let db = db.as_ref().ok_or(redb::Error::DatabaseClosed)?;
        Ok(db.begin_read()?)
    }

    /// Samples of a tier that began from `from` on and before `to`.
    pub(super) fn samples(
        &self,
        tier: Tier,
        from: u64,
        to: u64,
    ) -> Result<Vec<(u64, Sample)>, HistoryError> {
        let mut samples = Vec::new();
        self.each_row(tier.samples, from, to, |at, row| {
            samples.extend(serde_json::from_slice(row).ok().map(|sample| (at, sample)));
        })?;
        Ok(samples)
    }

    /// The same for hosts, one after the other, because all at once may be gigabytes.
    pub(super) fn each_hosts(
        &self,
        tier: Tier,
        from: u64,
        to: u64,
        mut take: impl FnMut(u64, &[HostUse]),
    ) -> Result<(), HistoryError> {
        self.each_row(tier.hosts, from, to, |at, row| take(at, &unpack(row)))
    }

    fn each_row(
        &self,
        table: &str,
        from: u64,
        to: u64,
        mut take: impl FnMut(u64, &[u8]),
    ) -> Result<(), HistoryError> {
        let mut all = || {
            let transaction = self.begin_read()?;
            let table = transaction.open_table(Rows::new(table))?;
            for entry in table.range(from..to)? {
                let (at, row) = entry?;
                take(at.value(), row.value());
            }
            Ok(())
        };
        all().map_err(used)
    }

    /// Name of each number.
    pub(super) fn names(&self) -> Result<Vec<(u32, String)>, HistoryError> {
        let all = || {
            let transaction = self.begin_read()?;
            let table = transaction.open_table(NAMES)?;
            let mut names = Vec::new();
            for entry in table.iter()? {
                let (name, value) = entry?;
                names.push((value.value().0, name.value().to_owned()));
            }
            Ok(names)
        };
        all().map_err(used)
    }

    /// Builds that began in a period, the newest first, at most `most`.
    pub(super) fn builds_between(
        &self,
        from: u64,
        to: u64,
        most: usize,
        is_wanted: impl Fn(&PastBuild) -> bool,
    ) -> Result<Vec<PastBuild>, HistoryError> {
        let all = || {
            let transaction = self.begin_read()?;
            let table = transaction.open_table(BUILDS)?;
            let mut builds = Vec::new();
            for entry in table.range((from, "")..(to, ""))?.rev() {
                let (_, row) = entry?;
                let build = serde_json::from_slice(row.value()).ok();
                builds.extend(build.filter(&is_wanted));
                if builds.len() >= most {
                    break;
                }
            }
            Ok(builds)
        };
        all().map_err(used)
    }

    /// The files of the week that begins at `week`.
    pub(super) fn files_of(&self, week: u64) -> Result<Vec<(String, FileSum)>, HistoryError> {
        let all = || {
            let transaction = self.begin_read()?;
            let table = transaction.open_table(FILES)?;
            let mut files = Vec::new();
            for entry in table.range((week, "")..(week + 1, ""))? {
                let (key, row) = entry?;
                let file = key.value().1.to_owned();
                files.push((file, sum_of(Some(row.value().to_vec()))));
            }
            Ok(files)
        };
        all().map_err(used)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let db = self.db.get_mut().unwrap_or_else(PoisonError::into_inner);
        drop(db.take());
        if let Some(path) = &self.path {
            seal::seal(path);
        }
    }
}

fn used(error: redb::Error) -> HistoryError {
    HistoryError::Use(Box::new(error))
}

/// So that reading finds all tables.
fn make_tables(db: &Database) -> Result<(), redb::Error> {
    let transaction = db.begin_write()?;
    for tier in TIERS {
        transaction.open_table(Rows::new(tier.samples))?;
        transaction.open_table(Rows::new(tier.hosts))?;
    }
    transaction.open_table(NAMES)?;
    transaction.open_table(BUILDS)?;
    transaction.open_table(FILES)?;
    transaction.commit()?;
    Ok(())
}

/// What hosts did, under the numbers of their names, sorted.
fn hosts_of(
    names: &mut Table<'_, &'static str, (u32, u64)>,
    batch: &Batch,
) -> Result<Vec<HostUse>, redb::Error> {
    let mut count = names.len()?;
    let mut uses = Vec::with_capacity(batch.hosts.len().min(MOST_HOSTS));
    let mut next = None;
    for (name, share) in batch.hosts.iter().take(MOST_HOSTS) {
        let known = names.get(name.as_str())?.map(|value| value.value().0);
        let host = match known {
            Some(host) => host,
            None if count >= MOST_NAMES => continue,
            None => {
                let free = match next {
                    Some(free) => free,
                    None => greatest(names)?,
                };
                next = Some(free + 1);
                count += 1;
                free
            }
        };
        names.insert(name.as_str(), (host, batch.at))?;
        uses.push(HostUse {
            host,
            seconds: SECONDS,
            share: *share,
        });
    }
    uses.sort_by_key(|of| of.host);
    uses.dedup_by_key(|of| of.host);
    Ok(uses)
}

/// The first number that no name has yet, nor any after it.
fn greatest(names: &Table<'_, &'static str, (u32, u64)>) -> Result<u32, redb::Error> {
    let mut free = 0;
    for entry in names.iter()? {
        free = free.max(entry?.1.value().0.saturating_add(1));
    }
    Ok(free)
}

fn add_sample(
    table: &mut Table<'_, u64, &'static [u8]>,
    at: u64,
    sample: &Sample,
) -> Result<(), redb::Error> {
    let kept = table
        .get(at)?
        .and_then(|row| serde_json::from_slice::<Sample>(row.value()).ok());
    let mut sum = kept.unwrap_or_default();
    sum.add(sample);
    if let Ok(row) = serde_json::to_vec(&sum) {
        table.insert(at, row.as_slice())?;
    }
    Ok(())
}

fn add_hosts(
    table: &mut Table<'_, u64, &'static [u8]>,
    at: u64,
    uses: &[HostUse],
) -> Result<(), redb::Error> {
    let kept = table.get(at)?.map(|row| unpack(row.value()));
    let sum = pack(&merge(&kept.unwrap_or_default(), uses));
    table.insert(at, sum.as_slice())?;
    Ok(())
}

fn add_file(
    table: &mut Table<'_, (u64, &'static str), &'static [u8]>,
    week: u64,
    file: &str,
    sum: &FileSum,
) -> Result<(), redb::Error> {
    let mut all = sum_of(table.get((week, file))?.map(|row| row.value().to_vec()));
    all.add(sum);
    if let Ok(row) = serde_json::to_vec(&all) {
        table.insert((week, file), row.as_slice())?;
    }
    Ok(())
}

fn drop_oldest(table: &mut Table<'_, u64, &'static [u8]>) -> Result<(), redb::Error> {
    for _ in 0..table.len()?.div_ceil(SURPLUS) {
        table.pop_first()?;
    }
    Ok(())
}

/// Of a week's files, those stay that took the most time.
fn keep_slowest(
    files: &mut Table<'_, (u64, &'static str), &'static [u8]>,
    week: u64,
) -> Result<(), redb::Error> {
    let mut times = Vec::new();
    for entry in files.range((week, "")..(week + 1, ""))? {
        let (_, row) = entry?;
        times.push(sum_of(Some(row.value().to_vec())).total_ms);
    }
    if times.len() <= MOST_FILES {
        return Ok(());
    }
    times.sort_unstable_by(|a, b| b.cmp(a));
    let Some(least) = times.get(MOST_FILES - 1).copied() else {
        return Ok(());
    };
    let mut left = MOST_FILES;
    files.retain_in((week, "")..(week + 1, ""), |_, row| {
        let stays = left > 0 && sum_of(Some(row.to_vec())).total_ms >= least;
        left -= usize::from(stays);
        stays
    })?;
    Ok(())
}

fn sum_of(row: Option<Vec<u8>>) -> FileSum {
    row.and_then(|row| serde_json::from_slice(&row).ok())
        .unwrap_or_default()
}

/// What a build is called; one whose submitter does not say is called by its beginning.
pub(super) fn key_of(row: &BuildRow) -> String {
    match &row.key {
        Some(key) => key.clone(),
        None => format!("{}-{}", row.client.0, row.begun),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::FileExt as _;

    const HOUR: u64 = 3_600_000;

    fn hosts(store: &Store, tier: Tier, from: u64, to: u64) -> Vec<(u64, Vec<HostUse>)> {
        let mut all = Vec::new();
        let take = |at, hosts: &[HostUse]| all.push((at, hosts.to_vec()));
        store.each_hosts(tier, from, to, take).unwrap();
        all
    }

    fn batch(at: u64, hosts: usize) -> Batch {
        Batch {
            at,
            sample: Sample {
                seconds: 10.0,
                slots: 100.0,
                busy: 50.0,
                remote: 7,
                ..Sample::default()
            },
            hosts: (0..hosts)
                .map(|host| (format!("host{host}"), 0.5))
                .collect(),
            builds: Vec::new(),
            files: vec![(
                "a.c".to_owned(),
                FileSum {
                    jobs: 1,
                    total_ms: 100,
                    max_ms: 100,
                    ..FileSum::default()
                },
            )],
        }
    }

    #[test]
    fn ten_seconds_add_up_to_minutes_and_hours() {
        let store = Store::in_memory().unwrap();
        for number in 0..360 {
            store.add(&batch(HOUR + number * 10_000, 2)).unwrap();
        }
        let [fine, minute, hour] = TIERS.map(|tier| store.samples(tier, 0, 3 * HOUR).unwrap());
        assert_eq!((fine.len(), minute.len(), hour.len()), (360, 60, 1));
        let (at, sum) = &hour[0];
        assert_eq!((*at, sum.remote, sum.seconds), (HOUR, 7 * 360, 3600.0));
        assert!((sum.busy - 50.0).abs() < 1e-6);
        let hosts = hosts(&store, TIERS[2], 0, 3 * HOUR);
        assert_eq!(hosts[0].1.len(), 2);
        assert_eq!(hosts[0].1[0].seconds, 3600);
        assert!((hosts[0].1[0].share - 0.5).abs() < 0.001);
        assert_eq!(store.files_of(0).unwrap()[0].1.total_ms, 36_000);
    }

    #[test]
    fn each_fineness_is_kept_for_its_time() {
        let store = Store::in_memory().unwrap();
        let now = 400 * 24 * HOUR;
        for days in [1, 20, 40, 200, 380] {
            store.add(&batch(now - days * 24 * HOUR + HOUR, 1)).unwrap();
        }
        store.prune(now).unwrap();
        let left = TIERS.map(|tier| store.samples(tier, 0, now).unwrap().len());
        assert_eq!(left, [1, 2, 4]);
        let hosts = TIERS.map(|tier| hosts(&store, tier, 0, now).len());
        assert_eq!(hosts, [1, 2, 4]);
    }

    #[test]
    fn the_file_stays_below_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let most = 2 << 20;
        let store = Store::open_bounded(&folder.path().join("h"), most).unwrap();
        let mut largest = 0;
        for number in 0..40 {
            store.add(&batch(HOUR + number * 60_000, 2_000)).unwrap();
            if number % 5 == 4 {
                store.prune(HOUR + number * 60_000).unwrap();
                largest = largest.max(store.size());
            }
        }
        assert!(largest < 2 * most, "{largest}");
        let samples = store.samples(TIERS[1], 0, u64::MAX).unwrap();
        assert!(
            !samples.is_empty() && samples.len() < 40,
            "{}",
            samples.len()
        );
    }

    #[test]
    fn what_was_kept_is_there_after_a_restart_and_in_one_process_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("h");
        let store = Store::open(&path).unwrap();
        store.add(&batch(HOUR, 1)).unwrap();
        let second = Store::open(&path).unwrap_err().to_string();
        assert!(second.contains("cannot be opened"), "{second}");
        drop(store);
        let again = Store::open(&path).unwrap();
        again.add(&batch(HOUR, 1)).unwrap();
        assert_eq!(
            again.samples(TIERS[0], 0, u64::MAX).unwrap()[0].1.remote,
            14
        );
        assert_eq!(again.names().unwrap(), [(0, "host0".to_owned())]);
    }

    #[test]
    fn a_damaged_file_is_an_error_and_never_a_panic() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("h");
        fs::write(&path, b"not a database at all").unwrap();
        assert!(Store::open(&path).is_err());
        fs::write(&path, vec![0; 100_000]).unwrap();
        let _ = Store::open(&path);
        fs::remove_file(&path).unwrap();
        let store = Store::open(&path).unwrap();
        for number in 0..20 {
            store.add(&batch(HOUR + number * 10_000, 50)).unwrap();
        }
        drop(store);
        let good = fs::read(&path).unwrap();
        let sum = fs::read(folder.path().join("h.sum")).unwrap();
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20 {
            fs::write(folder.path().join("h.sum"), &sum).unwrap();
            fs::write(&path, &good).unwrap();
            let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
            let at = random.u64(..good.len() as u64);
            file.write_all_at(&[good[at as usize] ^ 0x55], at).unwrap();
            let refused = Store::open(&path).unwrap_err().to_string();
            assert!(refused.contains("damaged"), "{refused}");
            fs::write(&path, &good[..random.usize(..good.len())]).unwrap();
            assert!(Store::open(&path).is_err());
        }
        fs::write(&path, &good).unwrap();
        assert!(Store::open(&path).is_ok());
    }

    #[test]
    fn of_a_week_the_files_stay_that_took_the_most_time() {
        let store = Store::in_memory().unwrap();
        let files = (0..MOST_FILES as u64 + 100).map(|number| {
            let sum = FileSum {
                jobs: 1,
                total_ms: number,
                ..FileSum::default()
            };
            (format!("{number}.c"), sum)
        });
        let batch = Batch {
            at: HOUR,
            files: files.collect(),
            ..Batch::default()
        };
        store.add(&batch).unwrap();
        store.prune(HOUR).unwrap();
        let left = store.files_of(0).unwrap();
        assert_eq!(left.len(), MOST_FILES);
        assert!(left.iter().all(|(_, sum)| sum.total_ms >= 100));
    }
}
