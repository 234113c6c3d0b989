//! Asking servers: several files at once, and for each file one server after the other.
use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use threaddump_arch::Arch;
use ureq::Agent;
use ureq::http::{Response, StatusCode};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::cache::{Cache, NewFile};
use super::settings::Settings;
use crate::snapshot::hex;

/// Files that are fetched at the same time.
const WORKERS: usize = 8;
/// A server that gives fewer bytes than this while one is patient is as good as none; the elfutils client
/// has the same limit.
const LEAST: u64 = 100_000;
/// Bytes that are read at once.
const PIECE: usize = 1 << 16;
/// Where systems keep the certificates that they trust, unless `SSL_CERT_FILE` says so.
const CERTIFICATES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What became of one file: `None` if no server has it.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) id: Vec<u8>,
    pub(super) result: Result<Option<PathBuf>, String>,
}

/// What the threads of one fetch share.
#[derive(Debug)]
pub(super) struct Job {
    arch: Arch,
    cache: Cache,
    queue: Mutex<VecDeque<Vec<u8>>>,
    pub(super) deadline: Instant,
    bytes: AtomicU64,
    cancelled: AtomicBool,
    /// Files that are being written.
    temporary: Mutex<Vec<PathBuf>>,
}

/// The servers of all fetches.
#[derive(Debug)]
pub(super) struct Client(Arc<Servers>);

#[derive(Debug)]
struct Servers {
    settings: Arc<Settings>,
    agent: Agent,
    failures: Mutex<BTreeMap<usize, Failure>>,
}

#[derive(Debug)]
struct Failure {
    why: String,
    told: bool,
    /// It is not asked again.
    is_final: bool,
}

/// Why a file did not come from a server.
enum Refusal {
    /// It does not have it.
    Missing,
    /// The server has a problem; the flag says that it is no use to ask again.
    Server(String, bool),
    /// What it gave, or the place for it, is at fault.
    File(String),
    /// Nobody waits for it any more.
    Cancelled,
}

impl Job {
    pub(super) fn new(arch: Arch, cache: Cache, ids: &[Vec<u8>], deadline: Instant) -> Job {
        Job {
            arch,
            cache,
            queue: Mutex::new(ids.iter().cloned().collect()),
            deadline,
            bytes: AtomicU64::new(0),
            cancelled: AtomicBool::new(false),
            temporary: Mutex::default(),
        }
    }

    /// Bytes that came so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Ends what is going on as soon as it notices, and removes what it has written.
    pub(super) fn cancel(&self) {
        let mut temporary = locked(&self.temporary);
        self.cancelled.store(true, Ordering::Relaxed);
        for path in temporary.drain(..) {
            // Most have got their names by now.
            let _ = std::fs::remove_file(path);
        }
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    fn create(&self, id: &[u8]) -> Result<NewFile, Refusal> {
        let mut temporary = locked(&self.temporary);
        if self.is_cancelled() {
            return Err(Refusal::Cancelled);
        }
        let new = self.cache.create(id).map_err(Refusal::File)?;
        temporary.push(new.temporary().to_owned());
        Ok(new)
    }
}

impl Client {
    pub(super) fn new(settings: &Arc<Settings>) -> Client {
        let settings = Arc::clone(settings);
        let agent = agent(settings.urls.iter().any(|url| url.starts_with("https:")));
        Client(Arc::new(Servers { settings, agent, failures: Mutex::default() }))
    }

    /// Starts fetching. Threads that nobody waits for end by themselves.
    pub(super) fn start(&self, job: &Arc<Job>) -> Receiver<Outcome> {
        let (sender, receiver) = channel();
        let count = locked(&job.queue).len().min(WORKERS);
        for _ in 0..count {
            let (servers, job, sender) = (Arc::clone(&self.0), Arc::clone(job), Sender::clone(&sender));
            let work = move || servers.work(&job, &sender);
            // With fewer threads it takes longer; with none, the receiver is told at once.
            let _ = Builder::new().name("debuginfod".to_owned()).spawn(work);
        }
        receiver
    }

    /// What is wrong with servers, each told once.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut failures = locked(&self.0.failures);
        let new = failures.iter_mut().filter(|(_, failure)| !failure.told);
        new.map(|(&index, failure)| {
            failure.told = true;
            format!("{}: {}", self.0.settings.urls[index], failure.why)
        })
        .collect()
    }
}

impl Servers {
    fn work(&self, job: &Job, results: &Sender<Outcome>) {
        loop {
            let Some(id) = locked(&job.queue).pop_front().filter(|_| !job.is_cancelled()) else { return };
            let result = self.get(job, &id);
            if results.send(Outcome { id, result }).is_err() {
                return;
            }
        }
    }

    fn get(&self, job: &Job, id: &[u8]) -> Result<Option<PathBuf>, String> {
        let (mut problem, mut misses) = (None, 0);
        for (index, url) in self.settings.urls.iter().enumerate() {
            if locked(&self.failures).get(&index).is_some_and(|failure| failure.is_final) {
                continue;
            }
            match self.ask(job, url, id) {
                Ok(path) => return Ok(Some(path)),
                Err(Refusal::Missing) => misses += 1,
                Err(Refusal::File(why)) => problem = Some(format!("{url}: {why}")),
                Err(Refusal::Server(why, is_final)) => {
                    let failure = Failure { why, told: false, is_final };
                    locked(&self.failures).entry(index).or_insert(failure).is_final |= is_final;
                }
                Err(Refusal::Cancelled) => break,
            }
        }
        if misses == self.settings.urls.len() {
            job.cache.keep_miss(id);
        }
        problem.map_or(Ok(None), Err)
    }

    fn ask(&self, job: &Job, url: &str, id: &[u8]) -> Result<PathBuf, Refusal> {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(Refusal::Server("neither http nor https".to_owned(), true));
        }
        let left = job.deadline.saturating_duration_since(Instant::now());
        if job.is_cancelled() || left.is_zero() {
            return Err(Refusal::Cancelled);
        }
        let patience = self.settings.patience.min(left);
        let request = self.agent.get(format!("{url}/buildid/{}/debuginfo", hex(id)));
        let request = request
            .config()
            .http_status_as_error(false)
            .timeout_global(Some(left))
            .timeout_resolve(Some(patience))
            .timeout_connect(Some(patience))
            .timeout_recv_response(Some(patience))
            .timeout_per_read(Some(patience))
            .build();
        let response = request.call().map_err(|error| Refusal::Server(self.words(&error), true))?;
        match response.status() {
            StatusCode::OK => self.keep(job, id, response),
            StatusCode::NOT_FOUND => Err(Refusal::Missing),
            status => Err(Refusal::Server(format!("it answers with status {}", status.as_u16()), false)),
        }
    }

    fn keep(&self, job: &Job, id: &[u8], response: Response<ureq::Body>) -> Result<PathBuf, Refusal> {
        let most = self.settings.max_size;
        let too_large = || Refusal::File(format!("the file is larger than {most} bytes"));
        let mut body = response.into_body();
        if body.content_length().is_some_and(|length| length > most) {
            return Err(too_large());
        }
        let mut new = job.create(id)?;
        let mut reader = body.with_config().limit(most.saturating_add(1)).reader();
        let mut piece = vec![0; PIECE];
        let (mut size, mut since, mut before) = (0_u64, Instant::now(), 0_u64);
        loop {
            let count = match reader.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => count,
                Err(_) if job.is_cancelled() => return Err(Refusal::Cancelled),
                Err(error) => return Err(Refusal::Server(plain(&error), true)),
            };
            size += count as u64;
            if size > most {
                return Err(too_large());
            }
            job.bytes.fetch_add(count as u64, Ordering::Relaxed);
            if job.is_cancelled() {
                return Err(Refusal::Cancelled);
            }
            new.write(&piece[..count]).map_err(Refusal::File)?;
            if since.elapsed() >= self.settings.patience {
                if size - before < LEAST {
                    let why = format!("fewer than {LEAST} bytes in {}", words(self.settings.patience));
                    return Err(Refusal::Server(why, true));
                }
                (since, before) = (Instant::now(), size);
            }
        }
        new.keep(id, job.arch).map_err(Refusal::File)
    }

    fn words(&self, error: &ureq::Error) -> String {
        match error {
            ureq::Error::Timeout(_) => format!("no answer within {}", words(self.settings.patience)),
            ureq::Error::Io(error) => plain(error),
            error => error.to_string(),
        }
    }
}

fn agent(with_tls: bool) -> Agent {
    let mut config = Agent::config_builder().user_agent(concat!("threaddump/", env!("CARGO_PKG_VERSION")));
    // What the system trusts; what is built in, if that cannot be read.
    if let Some(certificates) = with_tls.then(certificates).flatten() {
        let roots = RootCerts::Specific(Arc::new(certificates));
        config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
    }
    config.build().new_agent()
}

fn certificates() -> Option<Vec<Certificate<'static>>> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let mut paths = named.into_iter().chain(CERTIFICATES.map(PathBuf::from));
    let pem = paths.find_map(|path| std::fs::read(path).ok())?;
    let items = parse_pem(&pem).filter_map(Result::ok);
    let certificates: Vec<_> = items
        .filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        })
        .collect();
    (!certificates.is_empty()).then_some(certificates)
}

/// The cause alone, where there is one.
fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::TimedOut | std::io::ErrorKind::WouldBlock => "it does not go on".to_owned(),
        std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        _ => error.to_string(),
    }
}

fn words(duration: Duration) -> String {
    format!("{duration:?}")
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a thread that panicked left is whole: each change is a single one.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
