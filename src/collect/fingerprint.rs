//! Telling whether a process still runs the program it ran before: exec keeps the process id and the
//! start time.
use threaddump_arch::Arch;

use super::memory::Memory;
use crate::ids::Tid;
use crate::proc::ProcDir;

const AT_RANDOM: u64 = 25;

/// The 16 random bytes that the kernel gives each program at its start (getauxval(3), `AT_RANDOM`), and
/// where they are. Nothing has reason to change them, and reading them takes 2 µs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint {
    address: u64,
    bytes: [u8; 16],
}

impl Fingerprint {
    /// `None` if the auxiliary vector cannot be read or has no such entry.
    pub(super) fn read(dir: &ProcDir, memory: &Memory, arch: Arch) -> Option<Fingerprint> {
        Fingerprint::of(&dir.read("auxv").ok()?, memory, arch)
    }

    /// By an auxiliary vector that is known.
    pub(super) fn of(auxv: &[u8], memory: &Memory, arch: Arch) -> Option<Fingerprint> {
        let address = random_address(arch, auxv)?;
        let bytes = read_bytes(memory, memory.via(), address)?;
        Some(Fingerprint { address, bytes })
    }

    /// Whether the program of this thread is the same one. No thread counts as the same: it ended.
    pub(super) fn matches(&self, memory: &Memory, via: Option<Tid>) -> bool {
        via.is_none_or(|tid| read_bytes(memory, tid, self.address) == Some(self.bytes))
    }
}

fn read_bytes(memory: &Memory, via: Tid, address: u64) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    (memory.read_by(via, address, &mut bytes) == bytes.len()).then_some(bytes)
}

/// The auxiliary vector is pairs of words, type and value.
fn random_address(arch: Arch, auxv: &[u8]) -> Option<u64> {
    entry(arch, auxv, AT_RANDOM)
}

/// The value of an entry.
pub(super) fn entry(arch: Arch, auxv: &[u8], wanted: u64) -> Option<u64> {
    let word = usize::from(arch.pointer_size());
    auxv.chunks_exact(2 * word).find_map(|pair| {
        let (kind, value) = pair.split_at(word);
        (arch.number(kind) == wanted).then(|| arch.number(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_its_own_and_keeps_it() {
        let own = Tid(std::process::id() as i32);
        let dir = ProcDir::open("/proc/self").expect("/proc is mounted");
        let memory = Memory::of(own);
        let fingerprint = Fingerprint::read(&dir, &memory, threaddump_arch::NATIVE.expect("we run here"))
            .expect("every program gets one");
        assert!(fingerprint.matches(&memory, Some(own)));
        let other = Fingerprint { bytes: [0; 16], ..fingerprint };
        assert!(!other.matches(&memory, Some(own)));
    }

    #[test]
    fn broken_vectors_have_no_entry() {
        assert_eq!(random_address(Arch::X86_64, &[]), None);
        assert_eq!(random_address(Arch::X86_64, &[25; 15]), None);
    }

    #[test]
    fn words_of_a_vector_are_those_of_the_program() {
        let narrow = [6_u32, 4096, 25, 0x7fff].map(u32::to_le_bytes).concat();
        assert_eq!(random_address(Arch::I386, &narrow), Some(0x7fff));
        assert_eq!(random_address(Arch::X86_64, &narrow), None);
        let big = [25_u64, 0x3ff].map(u64::to_be_bytes).concat();
        assert_eq!(random_address(Arch::S390x, &big), Some(0x3ff));
    }
}
