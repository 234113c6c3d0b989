//! The head of a saved snapshot: everything but the raw bytes, which it names by their place.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use threaddump_arch::{Arch, Registers};

use super::{
    CodeName, Mapping, MemoryPiece, Module, ModuleImage, Problem, ProcessFacts, SignalFacts, Snapshot,
    Source, Syscall, ThreadSnapshot, decode_bytes, encode_bytes,
};
use crate::ids::Tid;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Head {
    captured_at_ns: i64,
    source: Source,
    fallback_reason: Option<String>,
    fallback_advice: Option<String>,
    pause_ns: Option<u64>,
    process: ProcessFacts,
    signal: Option<SignalFacts>,
    mappings: Vec<Mapping>,
    modules: Vec<Module>,
    /// What each module has in the file.
    images: Vec<Image>,
    threads: Vec<Thread>,
    memory: Vec<Piece>,
    #[serde(default)]
    code_names: Vec<CodeName>,
    problems: Vec<Problem>,
    blobs: usize,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Image {
    File,
    FileCopy(usize),
    Memory(usize),
    Generated(usize),
    None,
}

#[derive(Debug, Serialize, Deserialize)]
struct Piece {
    start: u64,
    blob: usize,
}

#[derive(Debug, Serialize, Deserialize)]
struct Thread {
    tid: Tid,
    /// As [`encode_bytes`] writes it.
    name: String,
    state: Option<char>,
    syscall: Option<Syscall>,
    stopped: bool,
    kernel_worker: bool,
    ns_tid: Option<i32>,
    cpu_ns: Option<u64>,
    wait_channel: Option<String>,
    kernel_stack: Option<Vec<String>>,
    /// Name and hexadecimal value; what is not known is absent.
    registers: Option<BTreeMap<String, String>>,
    stacks: Vec<Piece>,
    stack_cut: bool,
    problems: Vec<Problem>,
}

/// The raw parts of a file; each is taken once.
#[derive(Debug)]
pub(super) struct Blobs(Vec<Option<Vec<u8>>>);

impl Blobs {
    pub(super) fn new(blobs: Vec<Option<Vec<u8>>>) -> Blobs {
        Blobs(blobs)
    }

    fn take(&mut self, index: usize) -> Result<Vec<u8>, String> {
        let blob = self.0.get_mut(index).and_then(Option::take);
        blob.ok_or_else(|| format!("part {index} is missing or named twice"))
    }

    fn pieces(&mut self, pieces: Vec<Piece>) -> Result<Vec<MemoryPiece>, String> {
        let taken = pieces
            .into_iter()
            .map(|piece| Ok(MemoryPiece { start: piece.start, bytes: self.take(piece.blob)? }));
        taken.collect()
    }
}

impl Head {
    /// The head of a snapshot; its bytes are added to `blobs` in the order of their numbers.
    pub(super) fn of<'a>(snapshot: &'a Snapshot, blobs: &mut Vec<&'a [u8]>) -> Head {
        let images = snapshot.modules.iter().map(|module| Image::of(&module.image, blobs)).collect();
        let threads = snapshot.threads.iter().map(|thread| Thread::of(thread, blobs)).collect();
        let memory = pieces(&snapshot.memory, blobs);
        // The bytes of the images have numbers of their own.
        let modules = snapshot.modules.iter().map(without_image);
        Head {
            captured_at_ns: snapshot.captured_at_ns,
            source: snapshot.source,
            fallback_reason: snapshot.fallback_reason.clone(),
            fallback_advice: snapshot.fallback_advice.clone(),
            pause_ns: snapshot.pause_ns,
            process: snapshot.process.clone(),
            signal: snapshot.signal.clone(),
            mappings: snapshot.mappings.clone(),
            modules: modules.collect(),
            images,
            threads,
            memory,
            code_names: snapshot.code_names.clone(),
            problems: snapshot.problems.clone(),
            blobs: blobs.len(),
        }
    }

    pub(super) fn blobs(&self) -> usize {
        self.blobs
    }

    /// The snapshot, or what is wrong with the head.
    pub(super) fn into_snapshot(self, blobs: &mut Blobs) -> Result<Snapshot, String> {
        let mut modules = self.modules;
        if modules.len() != self.images.len() {
            return Err(format!("{} modules with {} images", modules.len(), self.images.len()));
        }
        for (module, image) in modules.iter_mut().zip(self.images) {
            module.image = image.load(blobs)?;
        }
        let arch = self.process.arch;
        let threads = self.threads.into_iter().map(|thread| thread.load(arch, blobs));
        Ok(Snapshot {
            captured_at_ns: self.captured_at_ns,
            source: self.source,
            fallback_reason: self.fallback_reason,
            fallback_advice: self.fallback_advice,
            pause_ns: self.pause_ns,
            process: self.process,
            signal: self.signal,
            mappings: self.mappings,
            modules,
            threads: threads.collect::<Result<_, _>>()?,
            memory: blobs.pieces(self.memory)?,
            code_names: self.code_names,
            problems: self.problems,
        })
    }
}

/// A copy without the bytes, which may be many.
fn without_image(module: &Module) -> Module {
    Module {
        path: module.path.clone(),
        start: module.start,
        end: module.end,
        device: module.device,
        inode: module.inode,
        deleted: module.deleted,
        build_id: module.build_id.clone(),
        image: ModuleImage::None,
    }
}

fn add<'a>(bytes: &'a [u8], blobs: &mut Vec<&'a [u8]>) -> usize {
    blobs.push(bytes);
    blobs.len() - 1
}

fn pieces<'a>(pieces: &'a [MemoryPiece], blobs: &mut Vec<&'a [u8]>) -> Vec<Piece> {
    pieces.iter().map(|piece| Piece { start: piece.start, blob: add(&piece.bytes, blobs) }).collect()
}

impl Image {
    fn of<'a>(image: &'a ModuleImage, blobs: &mut Vec<&'a [u8]>) -> Image {
        match image {
            ModuleImage::File => Image::File,
            ModuleImage::FileCopy(bytes) => Image::FileCopy(add(bytes, blobs)),
            ModuleImage::Memory(bytes) => Image::Memory(add(bytes, blobs)),
            ModuleImage::Generated(bytes) => Image::Generated(add(bytes, blobs)),
            ModuleImage::None => Image::None,
        }
    }

    fn load(self, blobs: &mut Blobs) -> Result<ModuleImage, String> {
        Ok(match self {
            Image::File => ModuleImage::File,
            Image::FileCopy(blob) => ModuleImage::FileCopy(blobs.take(blob)?),
            Image::Memory(blob) => ModuleImage::Memory(blobs.take(blob)?),
            Image::Generated(blob) => ModuleImage::Generated(blobs.take(blob)?),
            Image::None => ModuleImage::None,
        })
    }
}

impl Thread {
    fn of<'a>(thread: &'a ThreadSnapshot, blobs: &mut Vec<&'a [u8]>) -> Thread {
        let values = |registers: &Registers| {
            registers.iter().map(|(_, info, value)| (info.name.to_owned(), format!("{value:#x}"))).collect()
        };
        Thread {
            tid: thread.tid,
            name: encode_bytes(&thread.name),
            state: thread.state,
            syscall: thread.syscall.clone(),
            stopped: thread.stopped,
            kernel_worker: thread.kernel_worker,
            ns_tid: thread.ns_tid,
            cpu_ns: thread.cpu_ns,
            wait_channel: thread.wait_channel.clone(),
            kernel_stack: thread.kernel_stack.clone(),
            registers: thread.registers.as_ref().map(values),
            stacks: pieces(&thread.stacks, blobs),
            stack_cut: thread.stack_cut,
            problems: thread.problems.clone(),
        }
    }

    fn load(self, arch: Arch, blobs: &mut Blobs) -> Result<ThreadSnapshot, String> {
        let name = decode_bytes(&self.name).ok_or("a thread name has a bad escape")?;
        let registers = self.registers.map(|values| load_registers(arch, &values)).transpose()?;
        Ok(ThreadSnapshot {
            tid: self.tid,
            name,
            state: self.state,
            syscall: self.syscall,
            stopped: self.stopped,
            kernel_worker: self.kernel_worker,
            ns_tid: self.ns_tid,
            cpu_ns: self.cpu_ns,
            wait_channel: self.wait_channel,
            kernel_stack: self.kernel_stack,
            registers,
            stacks: blobs.pieces(self.stacks)?,
            stack_cut: self.stack_cut,
            problems: self.problems,
        })
    }
}

fn load_registers(arch: Arch, values: &BTreeMap<String, String>) -> Result<Registers, String> {
    let mut registers = Registers::new(arch);
    for (name, text) in values {
        let (id, _) = arch
            .iter()
            .find(|(_, info)| info.name == name)
            .ok_or_else(|| format!("{} has no register {name:?}", arch.name()))?;
        let digits = text.strip_prefix("0x").filter(|digits| !digits.starts_with('+'));
        let value = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        registers.set(id, value.ok_or_else(|| format!("register {name} has the value {text:?}"))?);
    }
    Ok(registers)
}
