//! Where a thread is inside the kernel.
use std::io;

use super::denied::is_gone;
use crate::ids::Tid;
use crate::proc::ProcDir;
use crate::snapshot::{Problem, ThreadSnapshot};

/// Frames of a kernel stack that are kept; the kernel itself gives at most 64.
const MAX_FRAMES: usize = 64;

/// The kernel function a thread waits in; `None` if it waits in none or that may not be known.
pub(super) fn wait_channel(dir: &ProcDir, tid: Tid) -> Option<String> {
    let text = dir.read(&format!("task/{tid}/wchan")).ok()?;
    let name = String::from_utf8_lossy(text.trim_ascii()).into_owned();
    (!matches!(name.as_str(), "" | "0")).then_some(name)
}

/// The stack of a thread in the kernel, the innermost function first.
///
/// # Errors
/// As read(2) on `/proc/TID/stack`: EACCES or EPERM without CAP_SYS_ADMIN.
pub(super) fn stack(dir: &ProcDir, tid: Tid) -> io::Result<Vec<String>> {
    Ok(parse_stack(&dir.read(&format!("task/{tid}/stack"))?))
}

/// Adds the stack in the kernel to a thread that does not run: of one that does there is none that would
/// hold still.
///
/// # Errors
/// As [`stack`], but for a thread that is gone.
pub(super) fn add(dir: &ProcDir, thread: &mut ThreadSnapshot) -> io::Result<()> {
    if matches!(thread.state, Some('R' | 'Z' | 'X') | None) {
        return Ok(());
    }
    match stack(dir, thread.tid) {
        Ok(frames) => thread.kernel_stack = Some(frames),
        Err(error) if is_gone(&error) && dir.stat(Some(thread.tid)).is_err() => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

/// The problem of stacks in the kernel that were asked for and cannot be read.
pub(super) fn problem(error: &io::Error) -> Problem {
    let what = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "permission denied: that needs CAP_SYS_ADMIN (root has it)".to_owned()
        }
        io::ErrorKind::NotFound => "this kernel was built without /proc/TID/stack".to_owned(),
        _ => error.to_string(),
    };
    Problem::new("kernel", format!("cannot read the stacks in the kernel: {what}"))
}

/// One function to a line, as `[<0>] do_wait+0x58/0x100`. The number stands for an address that the
/// kernel has ceased to show.
fn parse_stack(text: &[u8]) -> Vec<String> {
    let lines = text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let names = lines.map(|line| {
        let name = line.strip_prefix(b"[<").and_then(|rest| {
            let end = rest.windows(2).position(|pair| pair == b">]")?;
            Some(rest[end + 2..].trim_ascii())
        });
        String::from_utf8_lossy(name.unwrap_or(line)).into_owned()
    });
    names.take(MAX_FRAMES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lose_their_hidden_address() {
        let text = b"[<0>] futex_wait_queue+0x60/0x90\n[<0>] __x64_sys_futex+0x1/0x2 [mod]\n\nodd\n[<0 x\n";
        assert_eq!(
            parse_stack(text),
            ["futex_wait_queue+0x60/0x90", "__x64_sys_futex+0x1/0x2 [mod]", "odd", "[<0 x"]
        );
        assert_eq!(parse_stack(b""), [""; 0]);
        assert_eq!(parse_stack(&b"[<0>] f\n".repeat(1000)).len(), MAX_FRAMES);
    }
}
