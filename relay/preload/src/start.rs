//! What happens when the library is loaded.
use core::ffi::c_ulong;

use relay::{Options, install};

use crate::libc::{environment, getauxval};
use crate::{signals, stacks, threads};

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
        stacks::prepare();
        threads::prepare();
    }
}

fn is_preloaded() -> bool {
    const NAME: &[u8] = b"libthreaddump_relay";
    let list = environment(c"LD_PRELOAD").unwrap_or_default();
    list.windows(NAME.len()).any(|window| window == NAME)
}

const AT_PHDR: c_ulong = 3;
const AT_PHNUM: c_ulong = 5;
const PT_NOTE: u32 = 4;
const PT_PHDR: u32 = 6;

/// A program header of an ELF file of this class, as far as it is looked at.
#[repr(C)]
#[derive(Clone, Copy)]
struct Segment {
    kind: u32,
    #[cfg(target_pointer_width = "64")]
    flags: u32,
    offset: usize,
    address: usize,
    physical: usize,
    file_size: usize,
    size: usize,
    #[cfg(target_pointer_width = "32")]
    flags: u32,
    align: usize,
}

/// Whether the program was linked by Go: it has a note of that name.
fn is_go() -> bool {
    let (table, count) = (getauxval(AT_PHDR) as usize, getauxval(AT_PHNUM) as usize);
    if table == 0 {
        return false;
    }
    // SAFETY: the kernel has put the address of the program's own headers there.
    let segments = unsafe { core::slice::from_raw_parts(table as *const Segment, count) };
    let headers = segments.iter().find(|segment| segment.kind == PT_PHDR);
    let bias = headers.map_or(0, |headers| table.wrapping_sub(headers.address));
    let notes = segments.iter().filter(|segment| segment.kind == PT_NOTE);
    notes
        .map(|segment| {
            let start = bias.wrapping_add(segment.address) as *const u8;
            // SAFETY: notes of the program are mapped, and nobody writes to them.
            unsafe { core::slice::from_raw_parts(start, segment.size) }
        })
        .any(has_note_of_go)
}

/// Each note has the lengths of its name and of the rest, its kind, and both, padded.
fn has_note_of_go(mut notes: &[u8]) -> bool {
    let word = |bytes: &[u8]| bytes.first_chunk().map(|word| u32::from_le_bytes(*word) as usize);
    while let (Some(name), Some(rest)) = (word(notes), notes.get(4..).and_then(word)) {
        if name == 4 && notes.get(12..16) == Some(b"Go\0\0") {
            return true;
        }
        let length = name.next_multiple_of(4).saturating_add(rest.next_multiple_of(4)).saturating_add(12);
        notes = notes.get(length..).unwrap_or_default();
    }
    false
}
