use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command};

use threaddump_arch::Arch;

use super::*;
use crate::snapshot::ModuleImage;

/// A child that ends with the test.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn start(program: &str, args: &[&str]) -> Running {
        let child = Command::new(program).args(args).stdin(std::process::Stdio::piped()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(300));
        Running(child)
    }

    pub(crate) fn access(&self) -> FileAccess {
        let proc_dir = PathBuf::from(format!("/proc/{}", self.0.id()));
        FileAccess::Live { root: proc_dir.join("root"), proc_dir }
    }

    pub(crate) fn modules(&self) -> Vec<Module> {
        modules_of(&fs::read_to_string(format!("/proc/{}/maps", self.0.id())).unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The file-backed modules of a maps text. Enough for programs that map nothing unusual.
pub(crate) fn modules_of(maps: &str) -> Vec<Module> {
    let mut modules: BTreeMap<String, Module> = BTreeMap::new();
    let mut executable = std::collections::BTreeSet::new();
    for line in maps.lines() {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [range, rights, _, device, inode, path] = fields[..] else { continue };
        if !path.starts_with('/') {
            continue;
        }
        let hex = |text: &str| u64::from_str_radix(text, 16).unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let (major, minor) = device.split_once(':').unwrap();
        if rights.contains('x') {
            executable.insert(path.to_owned());
        }
        let module = modules.entry(path.to_owned()).or_insert_with(|| Module {
            path: path.as_bytes().to_vec(),
            start: hex(start),
            end: 0,
            device: (hex(major) as u32, hex(minor) as u32),
            inode: inode.parse().unwrap(),
            deleted: false,
            build_id: None,
            image: ModuleImage::File,
        });
        module.end = hex(end);
    }
    modules.retain(|path, _| executable.contains(path));
    modules.into_values().collect()
}

pub(crate) fn module_for(path: &Path) -> Module {
    let meta = fs::metadata(path).unwrap();
    Module {
        path: path.as_os_str().as_bytes().to_vec(),
        start: 0x7000_0000_0000,
        end: 0x7000_1000_0000,
        device: (libc::major(meta.dev()), libc::minor(meta.dev())),
        inode: meta.ino(),
        deleted: false,
        build_id: None,
        image: ModuleImage::File,
    }
}

fn ourselves() -> PathBuf {
    fs::read_link("/proc/self/exe").unwrap()
}

fn live() -> FileAccess {
    FileAccess::Live { root: "/proc/self/root".into(), proc_dir: "/proc/self".into() }
}

fn open<'s>(store: &'s Store, module: &Module, access: &FileAccess) -> Images<'s> {
    Images::open(store, Arch::X86_64, std::slice::from_ref(module), access, &ImageOptions::default())
}

fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("threaddump-images-{}-{name}", std::process::id()))
}

#[test]
fn every_module_of_a_process_is_found_with_its_cfi() {
    let sleep = Running::start("sleep", &["60"]);
    let store = Store::new();
    let images =
        Images::open(&store, Arch::X86_64, &sleep.modules(), &sleep.access(), &ImageOptions::default());
    assert_eq!(images.problems(), []);
    assert!(images.iter().count() >= 3, "{images:?}");
    for image in images.iter() {
        assert!(image.build_id().is_some(), "{:?}", String::from_utf8_lossy(image.path()));
        assert_eq!(image.file_address(image.start()), Some(0).filter(|_| image.bias() != Some(0)));
        let eh = image.eh_sections().unwrap();
        assert!(eh.eh_frame_hdr.is_some() && !eh.eh_frame.is_empty() && eh.text_address.is_some());
        assert_eq!(images.at(image.start()).unwrap().path(), image.path());
    }
}

#[test]
fn the_place_where_a_program_is_started_is_known() {
    let store = Store::new();
    let module = module_for(&ourselves());
    let images = open(&store, &module, &live());
    let image = images.at(module.start).unwrap();
    let entry = u64::from_le_bytes(*image.elf_bytes().unwrap()[24..].first_chunk().unwrap());
    let entry = image.bias().unwrap().wrapping_add(entry);
    assert!(image.is_entry(entry) && image.is_entry(entry + 8));
    assert!(!image.is_entry(entry - 1) && !image.is_entry(entry + 64) && !image.is_entry(module.start));
}

#[test]
fn files_of_another_root_are_copied_into_a_snapshot() {
    let root = scratch("root");
    fs::create_dir_all(&root).unwrap();
    fs::copy(ourselves(), root.join("program")).unwrap();
    let inside = Module { path: b"/program".to_vec(), ..module_for(&root.join("program")) };
    let outside = Module { start: 0x6000_0000_0000, end: 0x6000_1000_0000, ..module_for(&ourselves()) };
    let mut snapshot = crate::snapshot::file::tests::small();
    snapshot.modules = vec![outside.clone(), inside.clone()];
    let store = Store::new();
    let in_root = FileAccess::Live { root: root.clone(), proc_dir: "/proc/self".into() };
    let mut images = open(&store, &inside, &in_root);
    images.add(std::slice::from_ref(&outside));
    images.embed(&mut snapshot);
    fs::remove_dir_all(&root).unwrap();
    assert_eq!(snapshot.modules[0].image, ModuleImage::File, "found by its path");
    assert!(snapshot.modules[1].image == ModuleImage::FileCopy(fs::read(ourselves()).unwrap()));
}

#[test]
fn a_file_with_another_build_id_is_refused_with_both_values() {
    let mut module = module_for(&ourselves());
    module.build_id = Some(vec![0xab; 20]);
    module.inode = 1;
    let store = Store::new();
    for access in [live(), FileAccess::Host] {
        let images = open(&store, &module, &access);
        let image = images.at(module.start).unwrap();
        assert_eq!((image.bias(), image.elf_bytes().is_some()), (None, false));
        assert_eq!(image.code(module.start, 16), b"");
        let problems = images.problems();
        assert_eq!((problems.len(), problems[0].stage.as_str()), (1, "file"));
        assert!(problems[0].message.contains(&"ab".repeat(20)), "{problems:?}");
    }
}

#[test]
fn another_file_at_the_path_is_refused_when_there_is_no_build_id() {
    let copy = scratch("copy");
    fs::copy("/bin/sleep", &copy).unwrap();
    let mut module = module_for(&copy);
    module.inode += 1;
    let store = Store::new();
    let images = open(&store, &module, &live());
    assert!(images.problems()[0].message.contains("the file there is another one"));
    module.inode -= 1;
    assert_eq!(open(&store, &module, &live()).problems(), []);
    fs::remove_file(copy).unwrap();
}

#[test]
fn a_build_id_outweighs_another_inode() {
    let mut module = module_for(Path::new("/bin/sleep"));
    let store = Store::new();
    module.build_id = open(&store, &module, &live()).iter().next().unwrap().build_id().map(<[u8]>::to_vec);
    assert!(module.build_id.is_some());
    module.inode += 1;
    module.device = (253, 7);
    let images = open(&store, &module, &live());
    assert_eq!(images.problems(), []);
    assert!(images.iter().next().unwrap().bias().is_some());
}

#[test]
fn things_that_are_no_files_are_refused() {
    let store = Store::new();
    for path in ["/dev/zero", "/", "/no/such/file", "relative", "", "/etc/passwd", "/proc/self/mem"] {
        let mut module = module_for(Path::new("/etc/passwd"));
        module.path = path.as_bytes().to_vec();
        let images = open(&store, &module, &FileAccess::Host);
        assert_eq!(images.problems().len(), 1, "{path}");
        assert_eq!(images.at(module.start).unwrap().bias(), None, "{path}");
    }
}

#[test]
fn a_copy_in_the_snapshot_is_as_good_as_the_file() {
    let store = Store::new();
    let mut module = module_for(Path::new("/bin/sleep"));
    let file = open(&store, &module, &live());
    module.image = ModuleImage::FileCopy(fs::read("/bin/sleep").unwrap());
    module.path = b"/memfd:sleep".to_vec();
    let copy = open(&store, &module, &FileAccess::Host);
    let (file, copy) = (file.iter().next().unwrap(), copy.iter().next().unwrap());
    assert_eq!(file.build_id(), copy.build_id());
    assert_eq!(file.bias(), copy.bias());
    let text = file.eh_sections().unwrap().text_address.unwrap() + module.start;
    assert_eq!(file.code(text, 64).len(), 64);
    assert_eq!(file.code(text, 64), copy.code(text, 64));
    assert_eq!(file.eh_sections().unwrap().eh_frame, copy.eh_sections().unwrap().eh_frame);
}

/// Memory as the loader would map it: segments at their addresses, no section headers.
fn loaded(bytes: &[u8]) -> Vec<u8> {
    let elf = elf::Elf::parse(bytes, elf::Layout::File, Arch::X86_64).unwrap();
    let base = elf.base().unwrap();
    let end = elf.loads().map(|load| load.address + load.memory_size).max().unwrap();
    let mut memory = vec![0; (end - base) as usize];
    for load in elf.loads() {
        let contents = elf.segment_contents(load).unwrap();
        memory[(load.address - base) as usize..][..contents.len()].copy_from_slice(contents);
    }
    memory
}

#[test]
fn a_memory_image_has_cfi_and_dynamic_symbols() {
    let store = Store::new();
    let path = Path::new("/lib/x86_64-linux-gnu/libc.so.6");
    let mut module = module_for(path);
    let file = open(&store, &module, &live());
    module.image = ModuleImage::Memory(loaded(&fs::read(path).unwrap()));
    let memory = open(&store, &module, &FileAccess::Host);
    let (file, memory) = (file.iter().next().unwrap(), memory.iter().next().unwrap());
    assert_eq!(file.build_id(), memory.build_id());
    assert_eq!(file.bias(), memory.bias());
    let (of_file, of_memory) = (file.eh_sections().unwrap(), memory.eh_sections().unwrap());
    assert_eq!(of_file.eh_frame_address, of_memory.eh_frame_address);
    assert_eq!(of_file.eh_frame_hdr, of_memory.eh_frame_hdr);
    assert!(of_memory.eh_frame.starts_with_bytes(of_file.eh_frame.slice()));
    let dynsym = file.symbol_tables().pop().unwrap();
    let found = memory.symbol_tables().pop().unwrap();
    let text = of_file.text_address.unwrap();
    let addresses: Vec<u64> = (0..1000).map(|i| text + i * 997).collect();
    assert_eq!(dynsym.resolve(&addresses), found.resolve(&addresses));
    assert!(found.resolve(&addresses).iter().flatten().count() > 300);
}

trait StartsWith {
    fn starts_with_bytes(&self, bytes: &[u8]) -> bool;
}

impl StartsWith for Slice<'_> {
    fn starts_with_bytes(&self, bytes: &[u8]) -> bool {
        self.slice().starts_with(bytes)
    }
}

#[test]
fn a_file_without_section_headers_has_cfi_and_dynamic_symbols() {
    let mut bytes = fs::read("/lib/x86_64-linux-gnu/libc.so.6").unwrap();
    bytes[0x28..0x30].fill(0); // e_shoff
    bytes[0x3c..0x40].fill(0); // e_shnum, e_shstrndx
    let store = Store::new();
    let mut module = module_for(Path::new("/lib/x86_64-linux-gnu/libc.so.6"));
    module.image = ModuleImage::FileCopy(bytes);
    let images = open(&store, &module, &FileAccess::Host);
    let image = images.iter().next().unwrap();
    assert!(image.eh_sections().unwrap().eh_frame_hdr.is_some());
    assert!(!image.symbol_tables().is_empty());
    assert!(image.build_id().is_some());
}

#[test]
fn the_debug_file_is_found_by_build_id_when_it_is_needed() {
    let store = Store::new();
    let images = open(&store, &module_for(Path::new("/lib/x86_64-linux-gnu/libc.so.6")), &live());
    let image = images.iter().next().unwrap();
    assert_eq!(image.debug_file(), None);
    if image.debug_info().is_none() {
        eprintln!("skipped: libc6-dbg is not installed");
        return;
    }
    let path = image.debug_file().unwrap();
    assert!(path.starts_with("/usr/lib/debug/.build-id"), "{path:?}");
    assert_eq!(image.problems(), []);
}

#[test]
fn a_debug_file_with_another_build_id_is_refused_with_both_values() {
    let libc = module_for(Path::new("/lib/x86_64-linux-gnu/libc.so.6"));
    let file = fs::File::open("/lib/x86_64-linux-gnu/libc.so.6").unwrap();
    let id = crate::snapshot::hex(&build_id_of(&file, Arch::X86_64).unwrap().unwrap());
    let folder = std::env::temp_dir().join(format!("threaddump-other-id-{}", std::process::id()));
    let place = folder.join(".build-id").join(&id[..2]).join(format!("{}.debug", &id[2..]));
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::copy("/bin/sleep", &place).unwrap();
    let store = Store::new();
    let options = ImageOptions { debug_dirs: vec![folder.clone()] };
    let images = Images::open(&store, Arch::X86_64, &[libc], &live(), &options);
    let image = images.iter().next().unwrap();
    assert!(image.debug_info().is_none());
    let said = image.problems().into_iter().map(|problem| problem.message).collect::<Vec<_>>().join("\n");
    assert!(said.contains(&format!("not {id}")) && said.contains(&place.display().to_string()), "{said}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn damaged_elf_files_never_panic() {
    let bytes = fs::read("/bin/sleep").unwrap();
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) as usize) % below
    };
    for round in 0..400 {
        let mut copy = bytes.clone();
        for _ in 0..=round % 8 {
            // half of the damage goes to the headers at the start and at the end
            let at = match random(4) {
                0 => random(64),
                1 => 64 + random(800),
                2 => copy.len() - 1 - random(2200),
                _ => random(copy.len()),
            };
            copy[at] = [0, 0xff, 0x7f, 1, random(256) as u8][random(5)];
        }
        copy.truncate(if round % 5 == 0 { random(copy.len()) } else { copy.len() });
        for address in [0, 0x2000, 0x4321, u64::MAX] {
            inspect(&copy, address);
        }
    }
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(mut bytes in proptest::collection::vec(0_u8.., 0..600), address in 0_u64..) {
        inspect(&bytes, address);
        let magic = b"\x7fELF\x02\x01\x01";
        if bytes.len() > 64 {
            bytes[..7].copy_from_slice(magic);
            bytes[16..20].copy_from_slice(&[3, 0, 62, 0]);
            inspect(&bytes, address);
        }
    }
}
