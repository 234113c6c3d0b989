//! What `/proc` says about the own process, read with system calls alone.
use threaddump_arch::{NATIVE, Registers};

use crate::reserved;
use crate::sys::calls::{self, O_CLOEXEC, O_DIRECTORY, O_RDONLY};

/// There is no such thread.
pub(crate) const ESRCH: i32 = 3;
/// There is no such file.
const ENOENT: i32 = 2;

/// A file name made of a thread id, with its zero byte.
#[derive(Clone, Copy, Debug)]
struct Name {
    bytes: [u8; 32],
    length: usize,
}

impl Name {
    fn of(tid: u32, file: &[u8]) -> Name {
        let mut name = Name { bytes: [0; 32], length: 0 };
        name.push(b"task/");
        name.push(crate::text::decimal(u64::from(tid)).as_bytes());
        name.push(b"/");
        name.push(file);
        name
    }

    fn push(&mut self, bytes: &[u8]) {
        // The last byte stays zero.
        let room = self.bytes.len() - 1 - self.length;
        let bytes = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        if let Some(place) = self.bytes.get_mut(self.length..self.length + bytes.len()) {
            place.copy_from_slice(bytes);
            self.length += bytes.len();
        }
    }

    fn as_path(&self) -> &[u8] {
        self.bytes.get(..=self.length).unwrap_or_default()
    }
}

/// What is asked of a thread's `status` file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Status {
    /// The state letter.
    pub(crate) state: u8,
    /// Signals it blocks, as a set.
    pub(crate) blocked: u64,
    /// Whether its system calls are filtered.
    pub(crate) filtered: bool,
}

/// Parses `/proc/PID/status` (proc_pid_status(5)).
pub(crate) fn parse_status(text: &[u8]) -> Status {
    let mut status = Status::default();
    for line in text.split(|&byte| byte == b'\n') {
        if let Some(rest) = line.strip_prefix(b"State:\t") {
            status.state = rest.first().copied().unwrap_or(0);
        } else if let Some(rest) = line.strip_prefix(b"SigBlk:\t") {
            status.blocked = hexadecimal(rest).map_or(0, |(value, _)| value);
        } else if let Some(rest) = line.strip_prefix(b"Seccomp:\t") {
            status.filtered = rest != b"0";
        }
    }
    status
}

/// A hexadecimal number at the start of a text, and what follows it.
pub(crate) fn hexadecimal(text: &[u8]) -> Option<(u64, &[u8])> {
    let length = text.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(text.len());
    let digits = core::str::from_utf8(text.get(..length)?).ok()?;
    Some((u64::from_str_radix(digits, 16).ok()?, text.get(length..)?))
}

/// Parses `/proc/PID/syscall`: the registers of a thread that waits in the kernel, as far as it tells them.
pub(crate) fn parse_syscall(text: &[u8]) -> Option<Registers> {
    let mut words = text.trim_ascii().split(|&byte| byte == b' ');
    let number: i64 = core::str::from_utf8(words.next()?).ok()?.parse().ok()?;
    let mut values = [0_u64; 8];
    let mut count = 0;
    for (value, word) in values.iter_mut().zip(words) {
        (*value, _) = hexadecimal(word.strip_prefix(b"0x")?)?;
        count += 1;
    }
    let (call, sp, pc) = match (number, count) {
        (0.., 8) => {
            let arguments = [values[0], values[1], values[2], values[3], values[4], values[5]];
            (Some((number, arguments)), values[6], values[7])
        }
        (_, 2) => (None, values[0], values[1]),
        _ => return None,
    };
    Some(NATIVE?.registers_of_blocked(call, sp, pc))
}

/// Parses the start time in `/proc/PID/stat` (proc_pid_stat(5), field 22).
fn parse_start_time(text: &[u8]) -> Option<u64> {
    // The name, which is field 2, may hold anything.
    let after = text.get(text.iter().rposition(|&byte| byte == b')')? + 1..)?;
    let word = after.trim_ascii().split(|&byte| byte == b' ').nth(19)?;
    core::str::from_utf8(word).ok()?.parse().ok()
}

/// The threads of the process, in `/proc`.
#[derive(Debug)]
pub(crate) struct Tasks {
    directory: i32,
    opened: bool,
}

impl Tasks {
    pub(crate) fn open() -> Option<Tasks> {
        let (directory, opened) = reserved::directory()?;
        Some(Tasks { directory, opened })
    }

    /// Calls `found` with every thread id.
    pub(crate) fn each(&self, mut found: impl FnMut(u32)) {
        let flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
        let Ok(fd) = calls::openat(self.directory, b"task\0", flags, 0) else { return };
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = calls::getdents(fd, &mut buffer) {
            let mut rest = buffer.get(..length).unwrap_or_default();
            // struct linux_dirent64: inode, offset, 2 bytes of length, type, name.
            while let Some(size) = rest.get(16..18).map(|size| u16::from_le_bytes([size[0], size[1]])) {
                let name = rest.get(19..usize::from(size)).unwrap_or_default();
                let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
                if let Some(tid) = core::str::from_utf8(name).ok().and_then(|name| name.parse().ok()) {
                    found(tid);
                }
                match rest.get(usize::from(size)..) {
                    Some(next) if size > 0 => rest = next,
                    _ => break,
                }
            }
        }
        calls::close(fd);
    }

    /// Reads the start of a file of the process, or of one of its threads.
    fn read<'b>(&self, path: &[u8], buffer: &'b mut [u8]) -> Result<&'b [u8], i32> {
        let fd = calls::openat(self.directory, path, O_RDONLY | O_CLOEXEC, 0)?;
        let length = calls::read(fd, buffer);
        calls::close(fd);
        Ok(buffer.get(..length?).unwrap_or_default())
    }

    /// Opens a file of the process. The name must end with a zero byte.
    pub(crate) fn open_file(&self, name: &[u8]) -> Option<i32> {
        calls::openat(self.directory, name, O_RDONLY | O_CLOEXEC, 0).ok()
    }

    /// Opens the file of a thread that tells where it waits in the kernel.
    pub(crate) fn open_syscall(&self, tid: u32) -> Option<i32> {
        self.open_file(Name::of(tid, b"syscall").as_path())
    }

    /// When the process was started, in ticks since the machine was.
    pub(crate) fn start_time(&self) -> Option<u64> {
        let mut buffer = [0; 1024];
        parse_start_time(self.read(b"stat\0", &mut buffer).ok()?)
    }

    pub(crate) fn open_maps(&self) -> Option<i32> {
        calls::openat(self.directory, b"maps\0", O_RDONLY | O_CLOEXEC, 0).ok()
    }

    /// Of a thread; `None` if it has ended. What cannot be read for another reason is unknown.
    pub(crate) fn status(&self, tid: u32) -> Option<Status> {
        let mut buffer = [0; 4096];
        match self.read(Name::of(tid, b"status").as_path(), &mut buffer) {
            Ok(text) => Some(parse_status(text)),
            Err(ENOENT | ESRCH) => None,
            Err(_) => Some(Status::default()),
        }
    }

    /// Of the process.
    pub(crate) fn is_filtered(&self) -> bool {
        let mut buffer = [0; 4096];
        self.read(b"status\0", &mut buffer).map_or(true, |text| parse_status(text).filtered)
    }

    /// Its name, without the line end.
    pub(crate) fn name<'b>(&self, tid: u32, buffer: &'b mut [u8; 64]) -> &'b [u8] {
        let text = self.read(Name::of(tid, b"comm").as_path(), buffer).unwrap_or_default();
        text.strip_suffix(b"\n").unwrap_or(text)
    }

    /// What it waits in, if the kernel says so.
    pub(crate) fn wait_channel<'b>(&self, tid: u32, buffer: &'b mut [u8; 64]) -> Option<&'b [u8]> {
        let text = self.read(Name::of(tid, b"wchan").as_path(), buffer).ok()?;
        (!text.is_empty() && text != b"0").then_some(text)
    }

    /// The registers that the kernel tells of a thread that waits in it.
    pub(crate) fn registers(&self, tid: u32) -> Option<Registers> {
        let mut buffer = [0; 256];
        self.read(Name::of(tid, b"syscall").as_path(), &mut buffer).ok().and_then(parse_syscall)
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        if self.opened {
            calls::close(self.directory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_parsed_and_nonsense_is_not() {
        let text = b"Name:\tx\nState:\tD (disk sleep)\nSigBlk:\tfffffffe7ffbfeff\nSeccomp:\t2\n";
        let expected = Status { state: b'D', blocked: 0xffff_fffe_7ffb_feff, filtered: true };
        assert_eq!(parse_status(text), expected);
        assert_eq!(parse_status(b"State:\t\nSigBlk:\tzz\n\n\xff\n"), Status::default());
    }

    #[test]
    fn the_start_time_is_found_behind_any_name() {
        let text = b"7 (a) 1 2 (b) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 98765 1 2\n";
        assert_eq!(parse_start_time(text), Some(98765));
        for bad in [&b""[..], b")", b"7 (x) S 1 2", b"7 (x"] {
            assert_eq!(parse_start_time(bad), None);
        }
    }

    #[test]
    fn registers_of_a_waiting_thread_are_parsed() {
        let text = b"202 0x1 0x0 0x0 0x0 0x0 0xff 0x7ffe00 0x401000\n";
        let registers = parse_syscall(text).expect("nine words");
        assert_eq!((registers.sp(), registers.pc()), (Some(0x7f_fe00), Some(0x40_1000)));
        let outside = parse_syscall(b"-1 0x7ffe00 0x401000\n").expect("three words");
        assert_eq!(outside.pc(), Some(0x40_1000));
        for bad in
            [&b"running\n"[..], b"", b"1 2 3", b"202 0x1", b"-1 0x1 0xzz", b"-1 0x1 0x11111111111111111"]
        {
            assert!(parse_syscall(bad).is_none());
        }
    }

    #[test]
    fn no_text_confuses_the_parsers() {
        const LETTERS: &[u8] = b"0123456789abcdefx-: \t\nrpSigBlkState/\xff";
        let mut state = 1_u32;
        let mut text = [0_u8; 96];
        for round in 0..20_000 {
            for byte in &mut text {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = LETTERS[(state >> 16) as usize % LETTERS.len()];
            }
            let text = &text[..round % 97];
            parse_status(text);
            parse_syscall(text);
            crate::maps::bounds(text);
        }
    }

    #[test]
    fn a_file_name_ends_with_a_zero_byte() {
        assert_eq!(Name::of(42, b"comm").as_path(), b"task/42/comm\0");
        assert_eq!(Name::of(u32::MAX, b"status").as_path(), b"task/4294967295/status\0");
    }
}
