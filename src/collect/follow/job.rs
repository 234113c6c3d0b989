//! Being a job of a shell: when the program stops, the shell is to see it, and to have its terminal back.
use std::fs::File;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid as Group, getpgid, getpgrp, getppid, getsid, tcgetpgrp, tcsetpgrp};

use crate::ids::Pid;
use crate::proc::ProcDir;
use crate::sys::signals::{Sent, Signals, stop_self};

/// The kernel continues the processes of a group one after the other.
const TOGETHER: Duration = Duration::from_millis(20);

/// Whether our parent can continue us: it is in another process group of the same session. The kernel asks
/// the same before it stops anyone by SIGTSTP.
pub(super) fn is_managed() -> bool {
    let parent = getppid();
    let group = getpgid(Some(parent));
    group.is_ok_and(|group| group != getpgrp()) && getsid(Some(parent)).ok() == getsid(None).ok()
}

/// Stops this program as the program we started has stopped, until somebody continues us; then the program
/// is continued too, and has the terminal again if it had it. Gives whether we were stopped at all, and
/// other signals that came. To be called while nothing is traced.
pub(super) fn stop_with(program: Pid, signal: Signal, signals: &Signals) -> (bool, Vec<Sent>) {
    let group = getpgid(Some(Group::from_raw(program.0))).ok();
    let terminal = File::open("/dev/tty").ok();
    let foreground = || terminal.as_ref().and_then(|terminal| tcgetpgrp(terminal).ok());
    let had_terminal = group.is_some() && foreground() == group;
    let mut sent = signals.read();
    sent.retain(|sent| sent.number != Signal::SIGCONT as i32);
    stop_self(signal);
    let mut continued = false;
    for one in signals.read() {
        // Reading it is the only way to tell that the kernel stopped us.
        match one.number == Signal::SIGCONT as i32 {
            true => continued = true,
            false => sent.push(one),
        }
    }
    if !continued {
        return (false, sent);
    }
    if let (Some(group), Some(terminal)) = (group.filter(|_| had_terminal), &terminal)
        && foreground() == Some(getpgrp())
    {
        // Fails if the shell has taken it back meanwhile, which is its right.
        let _ = tcsetpgrp(terminal, group);
    }
    go_on(program, group);
    (true, sent)
}

/// Continues the program, if whoever continued us has not.
fn go_on(program: Pid, group: Option<Group>) {
    let is_stopped = || {
        let stat = ProcDir::open(format!("/proc/{program}")).and_then(|dir| dir.stat(None));
        stat.is_ok_and(|stat| stat.state == 'T')
    };
    // It may have ended; until we have collected it the id is its own.
    match group {
        Some(group) if group != getpgrp() => drop(killpg(group, Signal::SIGCONT)),
        _ if is_stopped() => {
            std::thread::sleep(TOGETHER);
            if is_stopped() {
                let _ = kill(Group::from_raw(program.0), Signal::SIGCONT);
            }
        }
        _ => {}
    }
}
