//! The modules that a text names, and what is at a place in one.
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::rc::Rc;

use threaddump_arch::{Arch, NATIVE};
use typed_arena::Arena;

use super::Options;
use super::parse::Place;
use crate::images::{FileAccess, Images, Store};
use crate::snapshot::{Module, ModuleImage, hex};
use crate::symbolize::{Named, Symbolizer};

/// Modules that are opened at most; the names of further ones are not looked for.
const MAX_MODULES: usize = 4096;

/// The modules of one text.
pub(super) struct Modules<'i, 's> {
    store: &'s Store,
    arena: &'i Arena<Images<'s>>,
    options: &'i Options,
    /// By path and build ID; `None` for those that cannot be had.
    known: HashMap<(Vec<u8>, Vec<u8>), Option<Opened<'i, 's>>>,
}

struct Opened<'i, 's> {
    images: &'i Images<'s>,
    symbolizer: Symbolizer<'i, 's>,
    /// What to add to a file address to get what the symbolizer asks for.
    bias: u64,
}

/// What is at a place.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// The innermost inlined function first.
    pub(super) named: Rc<[Named]>,
    /// What to add to the file address for it to compare with starts of functions.
    pub(super) bias: u64,
}

impl<'i, 's> Modules<'i, 's> {
    pub(super) fn new(store: &'s Store, arena: &'i Arena<Images<'s>>, options: &'i Options) -> Self {
        Modules { store, arena, options, known: HashMap::new() }
    }

    /// Announces places that will be asked for: of each its lookup address in the file.
    pub(super) fn prepare<'p>(&mut self, places: impl Iterator<Item = (&'p Place, u64)>) {
        let mut wanted: Vec<(&Place, u64)> = places.collect();
        let key = |place: &'p Place| (&place.path, &place.build_id);
        wanted.sort_by(|(one, _), (other, _)| key(one).cmp(&key(other)));
        for same in wanted.chunk_by(|(one, _), (other, _)| key(one) == key(other)) {
            let Some(&(place, _)) = same.first() else { continue };
            let mut lookups: Vec<u64> = same.iter().map(|&(_, lookup)| lookup).collect();
            let Some(opened) = self.open(place) else { continue };
            lookups.iter_mut().for_each(|lookup| *lookup = lookup.wrapping_add(opened.bias));
            lookups.sort_unstable();
            lookups.dedup();
            opened.symbolizer.prepare(&lookups);
        }
    }

    /// The functions at a file address of the module of a place.
    pub(super) fn find(&mut self, place: &Place, lookup: u64) -> Option<Found> {
        let opened = self.open(place)?;
        let named = opened.symbolizer.resolve(lookup.wrapping_add(opened.bias));
        (!named.is_empty()).then_some(Found { named, bias: opened.bias })
    }

    /// Whether the kernel made the frame of this place to deliver a signal.
    pub(super) fn is_trampoline(&mut self, place: &Place) -> bool {
        let Some(opened) = self.open(place) else { return false };
        let Some(image) = opened.images.iter().next() else { return false };
        arch().is_signal_trampoline(image.code(place.offset.wrapping_add(opened.bias), Arch::TRAMPOLINE))
    }

    fn open(&mut self, place: &Place) -> Option<&mut Opened<'i, 's>> {
        let key = (place.path.clone(), place.build_id.clone());
        if !self.known.contains_key(&key) {
            let opened = if self.known.len() < MAX_MODULES { self.open_new(place) } else { return None };
            self.known.insert(key.clone(), opened);
        }
        self.known.get_mut(&key)?.as_mut()
    }

    /// By its path, else by its build ID: a debug file, or the whole file, below each directory of them. A
    /// file that does not have the build ID is not used.
    fn open_new(&self, place: &Place) -> Option<Opened<'i, 's>> {
        let own = PathBuf::from(OsStr::from_bytes(&place.path));
        let mut paths = if own.is_absolute() { vec![own] } else { Vec::new() };
        let digits = hex(&place.build_id);
        if let Some((first, rest)) = digits.split_at_checked(2).filter(|(_, rest)| !rest.is_empty()) {
            for dir in &self.options.images.debug_dirs {
                let folder = dir.join(".build-id").join(first);
                paths.extend([folder.join(format!("{rest}.debug")), folder.join(rest)]);
            }
        }
        paths.into_iter().find_map(|path| self.open_at(path, &place.build_id))
    }

    fn open_at(&self, path: PathBuf, build_id: &[u8]) -> Option<Opened<'i, 's>> {
        let module = Module {
            path: path.into_os_string().into_encoded_bytes(),
            start: 0,
            end: u64::MAX,
            device: (0, 0),
            inode: 0,
            deleted: false,
            build_id: (!build_id.is_empty()).then(|| build_id.to_vec()),
            image: ModuleImage::File,
        };
        let images = Images::open(self.store, arch(), &[module], &FileAccess::Host, &self.options.images);
        let image = images.iter().next()?;
        let bias = image.bias()?;
        if build_id.is_empty() && image.build_id().is_some() {
            // Then the module of the text would have had one too.
            return None;
        }
        let images: &'i Images<'s> = self.arena.alloc(images);
        Some(Opened { images, symbolizer: Symbolizer::new(images, self.options.symbols), bias })
    }
}

fn arch() -> Arch {
    NATIVE.unwrap_or(Arch::X86_64)
}
