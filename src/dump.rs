//! The whole way from a process or a saved snapshot to a report.
use std::path::PathBuf;
use std::rc::Rc;

use crate::collect::corefile::{self, CoreError, CoreFile};
use crate::collect::follow::Ticket;
use crate::collect::{self, CollectError, Prepared, live};
use crate::debuginfod::Debuginfod;
use crate::ids::Pid;
use crate::images::{FileAccess, ImageOptions, Images, OpenFiles, Store};
use crate::report::{self, Report, ReportOptions};
use crate::snapshot::{Module, Snapshot};
use crate::source::{SourceOptions, Sources};
use crate::symbolize::{SymbolOptions, Symbolizer};
use crate::unwind::{UnwindOptions, Walk, unwind_all};

/// Debug files, then those that they share, then those of frames that were not known before.
const FETCHES: usize = 4;

/// What to do between the snapshot and the report.
#[derive(Clone, Debug)]
pub struct Options {
    /// How far to unwind.
    pub unwind: UnwindOptions,
    /// Which names to look up.
    pub symbols: SymbolOptions,
    /// Where separate debug files are.
    pub images: ImageOptions,
    /// Where to fetch debug files that are not on this machine, once the process runs again.
    pub debuginfod: Option<Rc<Debuginfod>>,
    /// What to report.
    pub report: ReportOptions,
    /// What to show of source files.
    pub source: SourceOptions,
}

/// Copies what is needed of a process, stopping it for that if this was asked for and is allowed, and
/// reports. `keep` sees the snapshot as soon as the process runs again, and may change it;
/// [`Images::embed`] makes it fit to be kept. Starts over if the process starts another program between
/// the preparation and the stop.
///
/// # Errors
/// If nothing could be collected.
pub fn live<E: From<CollectError>>(
    pid: Pid,
    collect: &collect::Options,
    options: &Options,
    keep: impl FnOnce(&mut Snapshot, &Images<'_>) -> Result<(), E>,
) -> Result<Report, E> {
    with(pid, collect, options, Prepared::capture, keep)
}

/// The same for a process that is followed: its threads are traced already, by another thread of ours.
///
/// # Errors
/// If nothing could be collected.
pub fn followed<E: From<CollectError>>(
    ticket: &Ticket,
    collect: &collect::Options,
    options: &Options,
    keep: impl FnOnce(&mut Snapshot, &Images<'_>) -> Result<(), E>,
) -> Result<Report, E> {
    with(ticket.pid, collect, options, |prepared| ticket.capture(prepared), keep)
}

fn with<E: From<CollectError>>(
    pid: Pid,
    collect: &collect::Options,
    options: &Options,
    capture: impl Fn(Prepared) -> Result<Snapshot, CollectError>,
    keep: impl FnOnce(&mut Snapshot, &Images<'_>) -> Result<(), E>,
) -> Result<Report, E> {
    let store = Store::new();
    let (mut snapshot, mut images, mut sources) =
        live::start_over(pid, || collect_once(pid, collect, options, &store, &capture))?;
    keep(&mut snapshot, &images)?;
    Ok(report(&snapshot, &mut images, &mut sources, options))
}

fn collect_once<'s>(
    pid: Pid,
    collect: &collect::Options,
    options: &Options,
    store: &'s Store,
    capture: impl Fn(Prepared) -> Result<Snapshot, CollectError>,
) -> Result<(Snapshot, Images<'s>, Sources), CollectError> {
    let mut prepared = collect::prepare(pid, collect)?;
    let access = FileAccess::Live { root: prepared.root().to_path_buf(), proc_dir: prepared.proc_dir() };
    let known: Vec<Module> = prepared.modules().to_vec();
    // Files are opened before the stop: afterwards they may be gone.
    let arch = prepared.facts().arch;
    let mut images = Images::open(store, arch, &known, &access, &options.images);
    let sources = Sources::new(&options.source, &access);
    if prepared.has_generated_code() {
        prepared.follow_jit(&images.jit_descriptors());
    }
    let snapshot = capture(prepared)?;
    if snapshot.process.arch != arch {
        // The relay tells of a process what `/proc` did not.
        images = Images::open(store, snapshot.process.arch, &snapshot.modules, &access, &options.images);
        return Ok((snapshot, images, sources));
    }
    let is_new = |module: &&Module| !known.iter().any(|old| old.start == module.start);
    let new: Vec<Module> = snapshot.modules.iter().filter(is_new).cloned().collect();
    images.add(&new);
    Ok((snapshot, images, sources))
}

/// Reports a core file. `keep` sees the snapshot, and may change it.
///
/// # Errors
/// If nothing of it can be shown.
pub fn core<E: From<CoreError>>(
    file: &CoreFile,
    collect: &corefile::Options,
    options: &Options,
    keep: impl FnOnce(&mut Snapshot, &Images<'_>) -> Result<(), E>,
) -> Result<Report, E> {
    let mut snapshot = file.snapshot(collect)?;
    let chosen = snapshot.process.exe.clone().zip(collect.exe.clone());
    let access = FileAccess::Chosen { root: collect.sysroot.clone(), files: chosen.into_iter().collect() };
    let store = Store::new();
    let arch = snapshot.process.arch;
    let mut images = Images::open(&store, arch, &snapshot.modules, &access, &options.images);
    if has_generated_code(&snapshot) {
        file.add_generated(&images.jit_descriptors(), &mut snapshot);
        images.add(&snapshot.modules);
    }
    keep(&mut snapshot, &images)?;
    Ok(report(&snapshot, &mut images, &mut Sources::new(&options.source, &access), options))
}

/// Reports a process that has crashed. `files` opens those that it had mapped, and their debug files. `release` lets
/// the process go, before or after its files were opened. If it is after, there is code that is in none, and
/// `release` adds to the snapshot what the process said about it: where JIT compilers register it (process
/// addresses) is known by then.
///
/// # Errors
/// Those of `release`.
pub fn crash<E>(
    snapshot: &mut Snapshot,
    files: Rc<dyn OpenFiles>,
    options: &Options,
    release: impl FnOnce(&mut Snapshot, &[u64]) -> Result<(), E>,
) -> Result<Report, E> {
    let store = Store::new();
    let (arch, access) = (snapshot.process.arch, FileAccess::Through(files));
    let first: &[Module] = if has_generated_code(snapshot) { &snapshot.modules } else { &[] };
    let mut images = Images::open(&store, arch, first, &access, &options.images);
    release(snapshot, &images.jit_descriptors())?;
    images.add(&snapshot.modules);
    let mut sources = Sources::new(&options.source, &FileAccess::Host);
    Ok(report(snapshot, &mut images, &mut sources, options))
}

/// Whether registers or stacks point to code that is in no file: it was copied then.
fn has_generated_code(snapshot: &Snapshot) -> bool {
    !snapshot.memory.is_empty()
}

/// Reports a saved snapshot. Its modules are looked for on this machine, and used if their build
/// IDs agree.
pub fn replay(snapshot: &Snapshot, options: &Options) -> Report {
    let store = Store::new();
    let mut images =
        Images::open(&store, snapshot.process.arch, &snapshot.modules, &FileAccess::Host, &options.images);
    report(snapshot, &mut images, &mut Sources::new(&options.source, &FileAccess::Host), options)
}

fn report(snapshot: &Snapshot, images: &mut Images<'_>, sources: &mut Sources, options: &Options) -> Report {
    let mut walks = unwind_all(snapshot, images, &options.unwind);
    if let Some(debuginfod) = &options.debuginfod {
        for _ in 0..FETCHES {
            match fetch(snapshot, images, &walks, debuginfod, options.symbols) {
                Fetch::Nothing => break,
                Fetch::Names => {}
                Fetch::Rules => walks = unwind_all(snapshot, images, &options.unwind),
            }
        }
    }
    let mut symbolizer = Symbolizer::new(images, options.symbols).with_code_names(&snapshot.code_names);
    let mut report = report::build(snapshot, images, &walks, &mut symbolizer, &options.report);
    sources.add(&mut report, images, &mut symbolizer);
    report
}

/// What the files that were fetched are good for.
enum Fetch {
    Nothing,
    Names,
    /// They have unwind rules that were missing.
    Rules,
}

fn fetch(
    snapshot: &Snapshot,
    images: &mut Images<'_>,
    walks: &[Walk],
    debuginfod: &Debuginfod,
    symbols: SymbolOptions,
) -> Fetch {
    let lookups = walks.iter().flat_map(|walk| &walk.frames).map(|frame| frame.lookup);
    let lacking = images.lacking(lookups, symbols.lines || symbols.inlines);
    let fetched = debuginfod.fetch(snapshot.process.arch, &lacking);
    images.note(fetched.problems);
    let mut result = Fetch::Nothing;
    for (id, path) in fetched.files {
        let further = images.supply(&id, path) || matches!(result, Fetch::Rules);
        result = if further { Fetch::Rules } else { Fetch::Names };
    }
    result
}

impl Options {
    /// The defaults, with these folders of separate debug files searched first.
    pub fn with_debug_dirs(folders: impl IntoIterator<Item = PathBuf>) -> Options {
        let mut images = ImageOptions::default();
        images.debug_dirs.splice(0..0, folders);
        Options {
            unwind: UnwindOptions { max_frames: 1000, scan: false },
            symbols: SymbolOptions::default(),
            images,
            debuginfod: None,
            report: ReportOptions::default(),
            source: SourceOptions::default(),
        }
    }
}
