//! The ELF file of each module: found, checked to be the one that is mapped, and opened.
//!
//! A wrong file gives wrong names, which is worse than none. So a file counts only if its build ID
//! is the one in the target's memory or, where there is none, if it is the mapped inode.

mod batch;
mod dynamic;
mod elf;
mod find;
mod generated;
mod image;
mod inflate;
mod inspect;
mod lacking;
mod links;
mod mini;
mod named;
mod notes;
mod plt;
mod sections;
mod separate;
mod split;
mod store;

#[cfg(test)]
pub(crate) mod tests;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use threaddump_arch::Arch;
use threaddump_dwarf::gimli;

pub use batch::{Need, inflate};
pub use image::Image;
pub use inspect::{inspect, inspect_generated};
pub use lacking::build_id_of;
pub use store::Store;

use crate::snapshot::{Module, ModuleImage, Problem, Snapshot};
use find::Finder;

/// Bytes of a section.
pub type Slice<'s> = gimli::EndianSlice<'s, gimli::RunTimeEndian>;

/// GDB's name for the head of the list of registered code.
const JIT_DESCRIPTOR: &[u8] = b"__jit_debug_descriptor";

/// Most bytes of files that are copied into one snapshot.
const MAX_EMBEDDED: usize = 1 << 30;

/// How paths lead to files.
#[derive(Clone, Debug)]
pub enum FileAccess {
    /// The target runs: paths are those in its root.
    Live {
        /// `/proc/PID/root`.
        root: PathBuf,
        /// `/proc/PID`, or a `/proc/PID/task/TID` that works when the leader has ended.
        proc_dir: PathBuf,
    },
    /// Somebody else opens the files.
    Through(Rc<dyn OpenFiles>),
    /// The target is gone: paths are those of this machine.
    Host,
    /// The target is gone: paths are those below another directory, or of this machine.
    Chosen {
        /// Where the target's root directory is on this machine, if elsewhere.
        root: Option<PathBuf>,
        /// Files of this machine to be used for the modules with these paths.
        files: Vec<(Vec<u8>, PathBuf)>,
    },
}

/// Opens files for a program that may not do so itself.
pub trait OpenFiles: std::fmt::Debug {
    /// The very file that is mapped as this module.
    ///
    /// # Errors
    /// If it cannot be opened, or is not a regular file.
    fn module(&self, module: &Module) -> io::Result<File>;

    /// The regular files at a path: in the root of the target, which the flag says, and on this machine. Those
    /// that are not there are left out.
    fn everywhere(&self, path: &Path) -> Vec<(io::Result<File>, bool)>;
}

/// Where else to look.
#[derive(Clone, Debug)]
pub struct ImageOptions {
    /// Directories with separate debug files, each as `DIR/.build-id/xx/yyyy.debug`.
    pub debug_dirs: Vec<PathBuf>,
}

impl Default for ImageOptions {
    fn default() -> ImageOptions {
        ImageOptions { debug_dirs: vec![PathBuf::from("/usr/lib/debug")] }
    }
}

/// The modules of one process with their files.
#[derive(Debug)]
pub struct Images<'s> {
    finder: Rc<Finder<'s>>,
    /// By ascending start.
    images: Vec<Image<'s>>,
    /// The highest end of each image and those before it.
    reach: Vec<u64>,
    /// Problems with files that are elsewhere.
    notes: Vec<Problem>,
}

impl<'s> Images<'s> {
    /// Opens the files of `modules`. What cannot be opened is told by [`Images::problems`].
    pub fn open(
        store: &'s Store,
        arch: Arch,
        modules: &[Module],
        files: &FileAccess,
        options: &ImageOptions,
    ) -> Images<'s> {
        let finder = Rc::new(Finder::new(store, arch, files, &options.debug_dirs));
        let mut images = Images { finder, images: Vec::new(), reach: Vec::new(), notes: Vec::new() };
        images.add(modules);
        images
    }

    /// Opens modules that were seen later. Those already here stay as they are.
    pub fn add(&mut self, modules: &[Module]) {
        for module in modules {
            let at = self.images.partition_point(|image| image.start() < module.start);
            let known = self.images[at..].iter().take_while(|image| image.start() == module.start);
            if known.into_iter().any(|image| image.path() == module.path && image.end() == module.end) {
                continue;
            }
            self.images.insert(at, Image::open(module, &self.finder));
        }
        let mut highest = 0;
        let reach = self.images.iter().map(|image| {
            highest = image.end().max(highest);
            highest
        });
        self.reach = reach.collect();
    }

    /// Copies files into a snapshot that cannot be found again by their paths, since the process has
    /// another root directory, as in a container. A snapshot then shows what the process did.
    pub fn embed(&self, snapshot: &mut Snapshot) {
        let mut left = MAX_EMBEDDED;
        for module in snapshot.modules.iter_mut().filter(|module| module.image == ModuleImage::File) {
            let same = |image: &&Image<'_>| image.start() == module.start && image.path() == module.path;
            let bytes = self.images.iter().find(same).and_then(Image::elf_bytes);
            let Some(bytes) = bytes.filter(|bytes| bytes.len() <= left) else { continue };
            if !self.finder.is_here(module) {
                left -= bytes.len();
                module.image = ModuleImage::FileCopy(bytes.to_vec());
            }
        }
    }

    /// Where JIT compilers register their code for debuggers (process addresses).
    pub fn jit_descriptors(&self) -> Vec<u64> {
        self.images.iter().filter_map(|image| image.symbol_address(JIT_DESCRIPTOR)).collect()
    }

    /// The image whose module holds a process address.
    pub fn at(&self, process_address: u64) -> Option<&Image<'s>> {
        let after = self.images.partition_point(|image| image.start() <= process_address);
        // Backwards, because one module may lie in a hole of another.
        let near = self.images[..after].iter().zip(&self.reach).rev();
        let mut near = near.take_while(|(_, reach)| process_address < **reach);
        near.find(|(image, _)| process_address < image.end()).map(|(image, _)| image)
    }

    /// All images, by ascending address.
    pub fn iter(&self) -> impl Iterator<Item = &Image<'s>> {
        self.images.iter()
    }

    /// What could not be read or used so far, by module.
    pub fn problems(&self) -> Vec<Problem> {
        self.images.iter().flat_map(Image::problems).chain(self.notes.iter().cloned()).collect()
    }
}
