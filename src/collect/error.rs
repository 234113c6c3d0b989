//! Why nothing could be collected, in words, each with the next step.
use std::fmt;
use std::io;

use super::{RelayRefusal, capabilities};
use crate::ids::{Pid, Tid};

/// Why a process could not be looked at.
#[derive(Debug)]
#[non_exhaustive]
pub enum CollectError {
    /// No process has this id.
    NoSuchProcess {
        /// The id that was given.
        pid: Pid,
    },
    /// None of the threads asked for belongs to the process.
    NoSuchThread {
        /// The process.
        pid: Pid,
        /// The first thread asked for.
        tid: Tid,
    },
    /// There is no `/proc` to look at.
    NoProc,
    /// The id is that of a thread, not of a process.
    NotAProcess {
        /// The id that was given.
        tid: Tid,
        /// The process it is a thread of.
        pid: Pid,
    },
    /// It runs in the kernel and has no stack of its own that we could read.
    KernelThread {
        /// The id that was given.
        pid: Pid,
        /// Its name.
        name: String,
    },
    /// It has ended; only its exit status is left.
    Zombie {
        /// The id that was given.
        pid: Pid,
        /// Its name.
        name: String,
        /// Id and name of the process that has not collected it.
        parent: Option<(i32, String)>,
    },
    /// Another debugger holds it.
    AlreadyTraced {
        /// The process.
        pid: Pid,
        /// Id and name of the tracer, where they can be seen.
        tracer: Option<(i32, String)>,
    },
    /// The kernel refused.
    Permission {
        /// The process.
        pid: Pid,
        /// The cause that was found.
        reason: PermissionReason,
    },
    /// It cannot be asked by way of the relay.
    NoRelay {
        /// The process.
        pid: Pid,
        /// The cause.
        reason: RelayRefusal,
    },
    /// A program of an architecture or mode we do not know.
    UnsupportedArch {
        /// The process.
        pid: Pid,
        /// What it is, with an article.
        what: String,
    },
    /// It ended while it was looked at.
    Exited {
        /// The process.
        pid: Pid,
    },
    /// It started another program while it was looked at.
    Executed {
        /// The process.
        pid: Pid,
    },
    /// It is this program.
    Itself {
        /// The id that was given.
        pid: Pid,
    },
    /// Something that should work did not.
    Io {
        /// What was being done, as a phrase for "cannot …".
        what: String,
        /// The cause.
        source: io::Error,
    },
}

/// Why the kernel refused, as far as it can be told from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PermissionReason {
    /// It belongs to another user.
    OtherUser {
        /// Real user id of the target.
        uid: u32,
        /// Our real user id.
        own: u32,
    },
    /// It has another group.
    OtherGroup {
        /// Real group id of the target.
        gid: u32,
        /// Our real group id.
        own: u32,
    },
    /// We started it, and it runs a set-user-ID program.
    SetUser {
        /// Effective or saved user id of the target.
        uid: u32,
        /// Our real user id.
        own: u32,
    },
    /// It has capabilities that we have not.
    MoreCapabilities {
        /// Those capabilities, as a mask.
        missing: u64,
    },
    /// The files that tell memory, pc and sp may be opened by another user only.
    FileMode {
        /// Their owner.
        owner: u32,
        /// Our effective user id.
        own: u32,
    },
    /// We are in a user namespace, and it is not.
    UserNamespace,
    /// It is marked as non-dumpable: it was set-user-id, changed its user, or asked for it.
    NotDumpable,
    /// The Yama security module restricts ptrace.
    Yama {
        /// Value of `kernel.yama.ptrace_scope`.
        level: u32,
    },
    /// We run under a seccomp filter that forbids ptrace.
    Seccomp,
    /// We run as root, but without CAP_SYS_PTRACE, as containers do; the value is the cause that would
    /// not matter with it.
    NoCapability(Box<PermissionReason>),
    /// `/proc` is mounted so that it hides processes of others.
    HidePid,
    /// None of the above: another security module, or another user namespace.
    Unknown,
}

impl fmt::Display for PermissionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PermissionReason::OtherUser { uid, own } => {
                write!(f, "it belongs to user {uid}, this program runs as user {own}")
            }
            PermissionReason::OtherGroup { gid, own } => {
                write!(f, "it runs with group {gid}, this program with group {own}")
            }
            PermissionReason::SetUser { uid, own } => {
                write!(f, "it is a set-user-ID program and runs as user {uid}, this program as user {own}")
            }
            PermissionReason::MoreCapabilities { missing } => {
                write!(f, "it has capabilities that this program lacks: {}", capabilities::names(*missing))
            }
            PermissionReason::FileMode { owner, own } => {
                write!(
                    f,
                    "its files in /proc may be read by user {owner} only, this program runs as user {own}"
                )
            }
            PermissionReason::UserNamespace => {
                f.write_str("this program runs in a user namespace, and has no rights over what is outside")
            }
            PermissionReason::NotDumpable => {
                f.write_str("it is non-dumpable (set-user-id, changed its user, or asked for it)")
            }
            PermissionReason::Yama { level } => write!(f, "kernel.yama.ptrace_scope is {level}"),
            PermissionReason::Seccomp => {
                f.write_str("this program runs under a seccomp filter without ptrace")
            }
            PermissionReason::NoCapability(cause) => {
                write!(f, "{cause} (root, but without CAP_SYS_PTRACE)")
            }
            PermissionReason::HidePid => f.write_str("/proc is mounted with hidepid"),
            PermissionReason::Unknown => {
                f.write_str("a security module or another user namespace does not allow it")
            }
        }
    }
}

impl PermissionReason {
    /// The next step the user can take, on one line.
    pub fn advice(&self) -> &'static str {
        match self {
            PermissionReason::Yama { level: 3.. } => {
                "level 3 cannot be lowered without a reboot; nobody may attach until then"
            }
            PermissionReason::Yama { .. } => {
                "run it as root, or allow it with: sysctl kernel.yama.ptrace_scope=0"
            }
            PermissionReason::Seccomp => {
                "run it outside of this sandbox or container, or allow ptrace in the container's seccomp profile"
            }
            PermissionReason::NoCapability(_) => {
                "run it with CAP_SYS_PTRACE (containers: --cap-add SYS_PTRACE), or outside of the container"
            }
            PermissionReason::HidePid => "run it as root",
            PermissionReason::Unknown => {
                "run it as root in the initial user namespace, and look for denials in the kernel log"
            }
            PermissionReason::UserNamespace => "run it outside of the namespace (outside of the container)",
            PermissionReason::FileMode { .. } => {
                "use ptrace (--via auto), or run it as root or with CAP_DAC_READ_SEARCH"
            }
            PermissionReason::OtherUser { .. }
            | PermissionReason::OtherGroup { .. }
            | PermissionReason::SetUser { .. }
            | PermissionReason::MoreCapabilities { .. }
            | PermissionReason::NotDumpable => "run it as root (sudo) or with CAP_SYS_PTRACE",
        }
    }
}

impl fmt::Display for CollectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CollectError::NoSuchProcess { pid } => write!(f, "no process {pid}"),
            CollectError::NoSuchThread { pid, tid } => write!(f, "process {pid} has no thread {tid}"),
            CollectError::NoProc => f.write_str("cannot look at processes: /proc is not mounted"),
            CollectError::NotAProcess { tid, pid } => write!(f, "{tid} is a thread of process {pid}"),
            CollectError::KernelThread { pid, name } => {
                write!(f, "process {pid} ({name}) is a kernel thread")
            }
            CollectError::Zombie { pid, name, parent } => {
                write!(f, "process {pid} ({name}) has ended")?;
                let Some((parent, name)) = parent else { return Ok(()) };
                write!(f, " and waits for its parent {parent} ({name}) to collect it")
            }
            CollectError::AlreadyTraced { pid, tracer: Some((tracer, name)) } => {
                write!(f, "cannot attach to process {pid}: it is traced by {tracer} ({name})")
            }
            CollectError::AlreadyTraced { pid, tracer: None } => {
                write!(f, "cannot attach to process {pid}: it is traced by another process")
            }
            CollectError::Permission { pid, reason } => {
                write!(f, "cannot attach to process {pid}: operation not permitted: {reason}")
            }
            CollectError::NoRelay { pid, reason } => {
                write!(f, "cannot ask the relay of process {pid}: {reason}")
            }
            CollectError::UnsupportedArch { pid, what } => {
                write!(f, "cannot read process {pid}: it is {what}")
            }
            CollectError::Exited { pid } => write!(f, "process {pid} ended while it was looked at"),
            CollectError::Executed { pid } => {
                write!(f, "process {pid} started another program while it was looked at")
            }
            CollectError::Itself { pid } => write!(f, "process {pid} is this program itself"),
            CollectError::Io { what, source } => write!(f, "cannot {what}: {source}"),
        }
    }
}

impl std::error::Error for CollectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CollectError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl CollectError {
    /// The next step the user can take, on one line.
    pub fn advice(&self) -> Option<String> {
        let text = match self {
            CollectError::NoSuchProcess { .. } => "list processes with: ps -e",
            CollectError::NoSuchThread { .. } => "without --thread all of its threads are shown",
            CollectError::NoProc => "mount it with: mount -t proc proc /proc",
            CollectError::NotAProcess { pid, .. } => return Some(format!("give the process id {pid}")),
            CollectError::KernelThread { pid, .. } => {
                return Some(format!("its kernel stack is in /proc/{pid}/stack (root only)"));
            }
            CollectError::Zombie { .. } => "it has no threads any more; look at the parent",
            CollectError::AlreadyTraced { tracer: Some((tracer, name)), .. } => {
                return Some(format!("end {name} ({tracer}) or let it detach first"));
            }
            CollectError::AlreadyTraced { tracer: None, .. } => "end the debugger or let it detach first",
            CollectError::Permission { reason, .. } => reason.advice(),
            CollectError::NoRelay { pid, reason } => return Some(reason.advice(*pid)),
            CollectError::UnsupportedArch { .. } => "use a threaddump that is built for the same machine",
            CollectError::Executed { .. } => "run it again",
            CollectError::Itself { .. } => "give the id of another process",
            CollectError::Exited { .. } | CollectError::Io { .. } => return None,
        };
        Some(text.to_owned())
    }
}

/// An `Io` error for something that was being done.
pub(super) fn io_error(what: impl Into<String>) -> impl FnOnce(io::Error) -> CollectError {
    move |source| CollectError::Io { what: what.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_one_line_and_name_the_process() {
        let pid = Pid(42);
        let parent = Some((7, "sh".to_owned()));
        let errors = [
            CollectError::NoSuchProcess { pid },
            CollectError::NoSuchThread { pid, tid: Tid(43) },
            CollectError::NotAProcess { tid: Tid(43), pid },
            CollectError::KernelThread { pid, name: "kworker/0:0".into() },
            CollectError::Zombie { pid, name: "sleep".into(), parent: parent.clone() },
            CollectError::AlreadyTraced { pid, tracer: parent },
            CollectError::AlreadyTraced { pid, tracer: None },
            CollectError::Permission { pid, reason: PermissionReason::NotDumpable },
            CollectError::NoRelay { pid, reason: RelayRefusal::Absent },
            CollectError::UnsupportedArch { pid, what: "a 32-bit program for arm".into() },
            CollectError::Executed { pid },
            CollectError::Itself { pid },
        ];
        for error in errors {
            let text = error.to_string();
            assert!(text.contains("42") && !text.contains('\n') && !text.ends_with('.'), "{text}");
            let advice = error.advice().expect("every one has a next step");
            assert!(!advice.contains('\n') && !advice.ends_with('.'), "{advice}");
        }
    }

    #[test]
    fn root_is_not_told_to_become_root() {
        let reason = PermissionReason::NoCapability(Box::new(PermissionReason::NotDumpable));
        assert!(!reason.advice().contains("as root"), "{}", reason.advice());
        assert!(reason.to_string().contains("CAP_SYS_PTRACE"));
    }

    #[test]
    fn the_highest_yama_level_is_not_said_to_be_lowered() {
        let reason = PermissionReason::Yama { level: 3 };
        assert!(reason.advice().contains("reboot"));
        assert!(PermissionReason::Yama { level: 1 }.advice().contains("sysctl"));
    }
}
