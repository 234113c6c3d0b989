//! Starting programs, waiting until they are quiet, and ending them whatever happens.
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// Generous: the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(120);

/// A command that cannot hang for ever.
pub(crate) fn bounded(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--foreground", "-k", "10", "600"]).arg(program);
    command
}

/// A started program; it and everything it started is killed when this goes away.
pub(crate) struct Running {
    child: Child,
    title: String,
}

impl Running {
    /// Starts a program in a process group of its own.
    pub(crate) fn start(command: &mut Command, title: &str) -> Result<Running, String> {
        Running::start_with_input(command, title, Stdio::null())
    }

    fn start_with_input(command: &mut Command, title: &str, input: Stdio) -> Result<Running, String> {
        command.process_group(0).stdin(input);
        let child = command.spawn().map_err(|error| format!("cannot start {title}: {error}"))?;
        Ok(Running { child, title: title.to_owned() })
    }

    /// Starts a program and waits for a line that contains `ready` on its standard output.
    pub(crate) fn start_ready(command: &mut Command, title: &str, ready: &str) -> Result<Running, String> {
        command.stdout(Stdio::piped());
        let mut running = Running::start(command, title)?;
        running.wait_for(ready)?;
        Ok(running)
    }

    /// The same with a pipe as its standard input.
    pub(crate) fn start_ready_with_pipe(
        command: &mut Command,
        title: &str,
        ready: &str,
    ) -> Result<(Running, ChildStdin), String> {
        let (mut running, input) = Running::start_with_pipe(command.stdout(Stdio::piped()), title)?;
        running.wait_for(ready)?;
        Ok((running, input))
    }

    /// Starts a program with a pipe as its standard input.
    pub(crate) fn start_with_pipe(
        command: &mut Command,
        title: &str,
    ) -> Result<(Running, ChildStdin), String> {
        let mut running = Running::start_with_input(command, title, Stdio::piped())?;
        let input = running.child.stdin.take().ok_or("no standard input")?;
        Ok((running, input))
    }

    fn wait_for(&mut self, ready: &str) -> Result<(), String> {
        let output = self.child.stdout.take().ok_or("no standard output")?;
        let (sender, receiver) = mpsc::channel();
        let wanted = ready.to_owned();
        // The thread goes on reading after the line, so that the program never blocks on a full pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if line.contains(&wanted) {
                    let _ = sender.send(());
                }
            }
        });
        match receiver.recv_timeout(PATIENCE) {
            Ok(()) => Ok(()),
            Err(_) => {
                let note = self.exit_note();
                Err(format!("{} did not say {ready:?}{note}", self.title))
            }
        }
    }

    /// Process id of the program.
    pub(crate) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// The program and its descendants, by ascending process id.
    pub(crate) fn tree(&self) -> Vec<i32> {
        descendants(self.pid())
    }

    fn exit_note(&mut self) -> String {
        match self.child.try_wait() {
            Ok(Some(status)) => format!("; it ended: {status}"),
            _ => String::new(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Some servers give each child a session of its own, so the group alone is not enough.
        let tree = self.tree();
        let _ = killpg(Pid::from_raw(self.pid()), Signal::SIGKILL);
        for pid in tree {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        // A test that traced the program has reaped it already.
        let _ = self.child.wait();
    }
}

/// Stops a process by SIGSTOP and lets it go on when this goes away.
pub(crate) struct Stopped(i32);

impl Stopped {
    /// Stops the process and waits until all its threads stand.
    pub(crate) fn new(pid: i32) -> Stopped {
        let _ = kill(Pid::from_raw(pid), Signal::SIGSTOP);
        let guard = Stopped(pid);
        wait_until(|| states(pid).iter().all(|(_, state)| matches!(state, 'T' | 't' | 'Z' | 'X')));
        guard
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.0), Signal::SIGCONT);
    }
}

/// Waits until no thread of a process runs and none moves; `false` if it never gets quiet.
pub(crate) fn settle(pid: i32) -> bool {
    let mut before = Vec::new();
    let mut same = 0;
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        let now = picture(pid);
        let running = now.iter().any(|(_, state, _)| *state == 'R');
        same = if !running && now == before { same + 1 } else { 0 };
        if same == 4 {
            return true;
        }
        before = now;
        std::thread::sleep(Duration::from_millis(25));
    }
    false
}

/// Waits for something that must come.
pub(crate) fn wait_until(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// Thread ids, states and counts of context switches.
fn picture(pid: i32) -> Vec<(i32, char, String)> {
    let switches = |tid: i32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/status")).unwrap_or_default();
        text.lines().filter(|line| line.contains("ctxt_switches")).collect::<String>()
    };
    states(pid).into_iter().map(|(tid, state)| (tid, state, switches(tid))).collect()
}

/// Threads of a process and their states.
pub(crate) fn states(pid: i32) -> Vec<(i32, char)> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let tids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let mut list: Vec<_> =
        tids.filter_map(|tid| Some((tid, stat(&format!("{pid}/task/{tid}"))?.0))).collect();
    list.sort_unstable();
    list
}

/// State and parent from `/proc/…/stat`.
fn stat(place: &str) -> Option<(char, i32)> {
    let bytes = std::fs::read(format!("/proc/{place}/stat")).ok()?;
    // The name before the last parenthesis may hold anything.
    let end = bytes.iter().rposition(|&byte| byte == b')')?;
    let rest = String::from_utf8_lossy(&bytes[end + 1..]).into_owned();
    let mut fields = rest.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// A process and all its descendants.
fn descendants(root: i32) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return vec![root] };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let parents: Vec<(i32, i32)> = pids.filter_map(|pid| Some((pid, stat(&pid.to_string())?.1))).collect();
    let mut tree = vec![root];
    let mut next = 0;
    while next < tree.len() {
        let parent = tree[next];
        tree.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    tree.sort_unstable();
    tree
}
