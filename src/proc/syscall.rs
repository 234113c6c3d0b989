//! `/proc/PID/syscall` (proc_pid_syscall(5)): what a thread that does not run is doing.
use super::{decimal, hexadecimal};
use crate::snapshot::Syscall;

/// The one line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyscallFile {
    /// The thread runs; nothing is known.
    Running,
    /// The thread is blocked.
    Blocked {
        /// The system call it is in; `None` if it is blocked outside of one (a page fault).
        syscall: Option<Syscall>,
        /// Stack pointer (process address).
        sp: u64,
        /// Program counter (process address).
        pc: u64,
    },
}

/// `running`, or number, six arguments, sp and pc, or -1, sp and pc.
pub fn parse_syscall(text: &[u8]) -> Option<SyscallFile> {
    let fields: Vec<&[u8]> = text.trim_ascii().split(|&byte| byte == b' ').take(10).collect();
    match fields.as_slice() {
        [b"running"] => Some(SyscallFile::Running),
        [b"-1", sp, pc] => {
            Some(SyscallFile::Blocked { syscall: None, sp: hexadecimal(sp)?, pc: hexadecimal(pc)? })
        }
        [number, args @ .., sp, pc] if args.len() == 6 => {
            let mut values = [0; 6];
            for (value, text) in values.iter_mut().zip(args) {
                *value = hexadecimal(text)?;
            }
            let syscall = Some(Syscall { number: decimal(number)?, args: values });
            Some(SyscallFile::Blocked { syscall, sp: hexadecimal(sp)?, pc: hexadecimal(pc)? })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_three_forms_are_read() {
        assert_eq!(parse_syscall(b"running\n"), Some(SyscallFile::Running));
        assert_eq!(
            parse_syscall(b"-1 0x7ffd 0x55d0\n"),
            Some(SyscallFile::Blocked { syscall: None, sp: 0x7ffd, pc: 0x55d0 })
        );
        let syscall = Some(Syscall { number: 202, args: [1, 2, 3, 4, 5, u64::MAX] });
        assert_eq!(
            parse_syscall(b"202 0x1 0x2 0x3 0x4 0x5 0xffffffffffffffff 0x7ffd 0x55d0\n"),
            Some(SyscallFile::Blocked { syscall, sp: 0x7ffd, pc: 0x55d0 })
        );
    }

    #[test]
    fn other_texts_are_refused() {
        for text in
            [&b""[..], b"running 1", b"-1", b"-1 0x1", b"1 2 3 4 5 6 7 8", b"x 1 2 3 4 5 6 7 8", b"1  2"]
        {
            assert_eq!(parse_syscall(text), None, "{}", String::from_utf8_lossy(text));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[-0-9a-fx ]{0,100}") {
            parse_syscall(text.as_bytes());
        }
    }
}
