//! What happens when the library is loaded.
use core::mem::transmute;

use relay::{Options, install};

use crate::libc::{AtForkFn, RegisterAtForkFn, environment, getauxval, next};
use crate::{signals, threads};

#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

extern "C" fn start() {
    signals::prepare();
    // Go's runtime takes all signals past the C library, dumps all threads itself, and gives some signals
    // back to whoever had them before: there is no place for us.
    if is_go() {
        return;
    }
    let settings = environment(c"THREADDUMP");
    // A program that is linked with the library installs it itself.
    if settings.is_none() && !is_preloaded() {
        return;
    }
    let mut options = Options::DEFAULT;
    options.helper = relay::interpose::helper_beside(start as *const () as usize);
    let understood = options.apply(settings.unwrap_or_default());
    if let Err(setting) = understood {
        relay::interpose::complain(setting);
    }
    if install(options).is_ok() {
        threads::prepare();
        forks();
    }
}

/// Has every child of fork(3) take a name of its own.
fn forks() {
    let (glibc, musl) = (next(c"__register_atfork"), next(c"pthread_atfork"));
    if glibc != 0 {
        // SAFETY: the C library's function of that name.
        let register = unsafe { transmute::<usize, RegisterAtForkFn>(glibc) };
        // SAFETY: this library is never unloaded.
        unsafe { register(None, None, Some(after_fork), core::ptr::null_mut()) };
    } else if musl != 0 {
        // SAFETY: the C library's function of that name.
        let register = unsafe { transmute::<usize, AtForkFn>(musl) };
        // SAFETY: this library is never unloaded.
        unsafe { register(None, None, Some(after_fork)) };
    }
}

unsafe extern "C" fn after_fork() {
    relay::interpose::after_fork();
}

fn is_preloaded() -> bool {
    const NAME: &[u8] = b"libthreaddump_relay";
    let list = environment(c"LD_PRELOAD").unwrap_or_default();
    list.windows(NAME.len()).any(|window| window == NAME)
}

const AT_PHDR: u64 = 3;
const AT_PHNUM: u64 = 5;
const PT_NOTE: u32 = 4;
const PT_PHDR: u32 = 6;

/// A program header of a 64-bit ELF file.
#[repr(C)]
#[derive(Clone, Copy)]
struct Segment {
    kind: u32,
    flags: u32,
    offset: u64,
    address: u64,
    physical: u64,
    file_size: u64,
    size: u64,
    align: u64,
}

/// Whether the program was linked by Go: it has a note of that name.
fn is_go() -> bool {
    let (table, count) = (getauxval(AT_PHDR), getauxval(AT_PHNUM));
    if table == 0 {
        return false;
    }
    // SAFETY: the kernel has put the address of the program's own headers there.
    let segments = unsafe { core::slice::from_raw_parts(table as *const Segment, count as usize) };
    let headers = segments.iter().find(|segment| segment.kind == PT_PHDR);
    let bias = headers.map_or(0, |headers| table.wrapping_sub(headers.address));
    segments.iter().filter(|segment| segment.kind == PT_NOTE && segment.size >= 16).any(|segment| {
        let note = bias.wrapping_add(segment.address) as *const [u8; 16];
        // SAFETY: notes of the program are mapped, and this one has as many bytes.
        let note = unsafe { note.read_unaligned() };
        note[..4] == 4_u32.to_le_bytes() && note[12..] == *b"Go\0\0"
    })
}
