//! Looks at real processes: what is copied is right, and the process goes on as it was.
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use threaddump::collect::{CollectError, Options, Prepared, live};
use threaddump::ids::{Pid, Tid};
use threaddump::proc::ProcDir;
use threaddump::snapshot::{ModuleImage, Snapshot, ThreadSnapshot};

/// What the target puts on the stacks of its threads; the lowest bytes count them.
const MARK: u64 = 0x746d_6172_6b00_0000;

/// The program built from `live_target.c`, or `None`, with a word about it, where there is no compiler.
fn program() -> Option<&'static PathBuf> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let built = PROGRAM.get_or_init(|| {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("live_target");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live_target.c");
        let mut command = Command::new("cc");
        command.args(["-g", "-O1", "-pthread", "-Wl,--build-id", "-o"]).arg(&path).arg(source);
        command.status().is_ok_and(|status| status.success()).then_some(path)
    });
    if built.is_none() {
        eprintln!("skipped: no C compiler");
    }
    built.as_ref()
}

struct Target {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Target {
    fn start(program: &PathBuf, arguments: &[&str]) -> Target {
        let mut command = Command::new(program);
        let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().expect("the target starts");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut target = Target { child, output };
        assert_eq!(target.line(), "ready");
        target
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the target writes text");
        line.trim_end().to_owned()
    }

    fn pid(&self) -> Pid {
        Pid(self.child.id() as i32)
    }

    fn dir(&self) -> ProcDir {
        ProcDir::open(format!("/proc/{}", self.pid())).expect("the target lives")
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.pid().to_string()]).status();
        assert!(status.expect("kill is installed").success());
    }

    fn capture(&self) -> Snapshot {
        let prepared = live::prepare(self.pid(), &Options::default()).expect("it can be read");
        let snapshot = prepared.capture().expect("it can be stopped");
        self.check_released();
        snapshot
    }

    /// No thread is traced, or stopped by a tracer, any more.
    fn check_released(&self) {
        let dir = self.dir();
        for tid in dir.list_tasks().expect("the target lives") {
            let Ok(status) = dir.status(Some(tid)) else { continue };
            assert_eq!(status.tracer.unwrap_or(0), 0, "thread {tid}");
            assert_ne!(status.state, Some('t'), "thread {tid}");
        }
    }

    fn wait_for_state(&self, wanted: char) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.dir().stat(None).expect("the target lives").state != wanted {
            assert!(Instant::now() < deadline, "the target does not get into state {wanted}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// A signal that stops a process reaches its threads one after the other.
    fn wait_until_all_are_stopped(&self) {
        let deadline = Instant::now() + Duration::from_secs(5);
        let dir = self.dir();
        let stopped = |tid: &Tid| dir.stat(Some(*tid)).is_ok_and(|stat| stat.state == 'T');
        while !dir.list_tasks().expect("the target lives").iter().all(stopped) {
            assert!(Instant::now() < deadline, "not all threads of the target stop");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

macro_rules! target {
    ($($argument:expr),*) => {
        match program() {
            Some(program) => Target::start(program, &[$($argument),*]),
            None => return,
        }
    };
}

fn stack_holds(thread: &ThreadSnapshot, word: u64) -> bool {
    let mut words = thread.stacks.iter().flat_map(|piece| piece.bytes.chunks_exact(8));
    words.any(|bytes| bytes == word.to_le_bytes())
}

fn tids(snapshot: &Snapshot) -> Vec<Tid> {
    snapshot.threads.iter().map(|thread| thread.tid).collect()
}

#[test]
fn every_thread_is_copied_with_name_registers_and_stack() {
    for count in ["1", "100", "1000"] {
        let target = target!("threads", count);
        let snapshot = target.capture();
        let count: usize = count.parse().expect("a number");
        assert_eq!(snapshot.threads.len(), count + 1);
        assert_eq!(tids(&snapshot), target.dir().list_tasks().expect("it lives"));
        for (index, thread) in snapshot.threads[1..].iter().enumerate() {
            assert_eq!(thread.name, format!("park {index})").into_bytes());
            assert_eq!((thread.state, thread.stack_cut), (Some('S'), false));
            assert_eq!(thread.syscall.as_ref().expect("it waits").number, 34, "pause");
            let registers = thread.registers.as_ref().expect("it was stopped");
            let sp = registers.sp().expect("it has a stack");
            assert_eq!(thread.stacks[0].start, (sp - 128) & !7);
            assert!(snapshot.mapping_at(registers.pc().expect("it runs")).expect("code").permissions.execute);
            assert!(stack_holds(thread, MARK + index as u64));
            assert_eq!(thread.problems, []);
        }
        assert_eq!(snapshot.problems, []);
        assert!(snapshot.pause_ns.is_some_and(|pause| pause < 5_000_000_000));
    }
}

#[test]
fn facts_and_modules_are_those_of_the_program() {
    let target = target!("threads", "2");
    let snapshot = target.capture();
    let path = program().expect("it was built").canonicalize().expect("it is there");
    let path = path.to_str().expect("a plain path").as_bytes();
    assert_eq!(snapshot.process.exe.as_deref(), Some(path));
    assert_eq!(snapshot.process.cmdline[1..], [b"threads".to_vec(), b"2".to_vec()]);
    assert_eq!(snapshot.process.ppid, Some(std::process::id() as i32));
    assert!(snapshot.modules.is_sorted_by_key(|module| module.start));
    let exe = snapshot.modules.iter().find(|module| module.path == path).expect("the program is a module");
    assert_eq!(exe.image, ModuleImage::File);
    assert!(!exe.deleted && exe.build_id.is_some());
    let vdso = snapshot.modules.iter().find(|module| module.path == b"[vdso]").expect("there is one");
    let ModuleImage::Memory(bytes) = &vdso.image else { panic!("it has no file") };
    assert_eq!(bytes.len() as u64, vdso.end - vdso.start);
    assert!(bytes.starts_with(b"\x7fELF") && vdso.build_id.is_some());
    assert_eq!(snapshot.modules.iter().filter(|module| module.path.ends_with(b"/libc.so.6")).count(), 1);
}

#[test]
fn only_the_threads_asked_for_are_stopped() {
    let target = target!("threads", "5");
    let all = target.dir().list_tasks().expect("it lives");
    let options = Options { threads: vec![all[2], Tid(1)], ..Options::default() };
    let snapshot = live::prepare(target.pid(), &options).and_then(Prepared::capture).expect("it works");
    assert_eq!(tids(&snapshot), [all[2]]);
    assert_eq!(snapshot.problems.len(), 1, "the other one is not there");
    let options = Options { threads: vec![Tid(1)], ..Options::default() };
    let error = live::prepare(target.pid(), &options).expect_err("no such thread");
    assert!(matches!(error, CollectError::NoSuchThread { tid: Tid(1), .. }));
}

#[test]
fn a_stopped_process_stays_stopped_and_continues_when_told() {
    let target = target!("threads", "3");
    target.signal("-STOP");
    target.wait_until_all_are_stopped();
    let snapshot = target.capture();
    assert!(snapshot.threads.iter().all(|thread| thread.registers.is_some() && thread.state == Some('T')));
    std::thread::sleep(Duration::from_millis(20));
    target.wait_until_all_are_stopped();
    target.signal("-CONT");
    target.wait_for_state('S');
}

#[test]
fn no_signal_is_lost_or_doubled() {
    let mut target = target!("storm", "5000");
    let mut captures = 0;
    // The storm lasts longer than these; the process answers after it.
    let end = Instant::now() + Duration::from_millis(400);
    while Instant::now() < end {
        target.capture();
        captures += 1;
    }
    assert_eq!(target.line(), "5000", "after {captures} captures");
    assert!(captures > 0);
}

#[test]
fn a_process_whose_leader_has_ended_is_read_through_another_thread() {
    let target = target!("leader");
    target.wait_for_state('Z');
    let deadline = Instant::now() + Duration::from_secs(5);
    let snapshot = loop {
        let prepared = live::prepare(target.pid(), &Options::default()).expect("it can be read");
        assert!(prepared.proc_dir().starts_with(format!("/proc/{}/task", target.pid())));
        let snapshot = prepared.capture().expect("it can be stopped");
        target.check_released();
        let [leader, other] = &snapshot.threads[..] else { panic!("two threads, not {:?}", tids(&snapshot)) };
        assert_eq!((leader.state, leader.registers.is_none()), (Some('Z'), true));
        // The other thread goes to its place after it has said that it is ready.
        if stack_holds(other, MARK + 7) {
            break snapshot;
        }
        assert!(Instant::now() < deadline, "the stack is not that of the other thread");
    };
    assert!(snapshot.process.exe.is_some() && snapshot.modules.len() >= 3);
}

#[test]
fn threads_that_come_and_go_do_no_harm() {
    let target = target!("churn");
    for _ in 0..40 {
        let snapshot = target.capture();
        assert!(snapshot.threads.iter().filter(|thread| thread.registers.is_some()).count() >= 4);
        let problems: Vec<_> = snapshot.threads.iter().flat_map(|thread| &thread.problems).collect();
        assert!(problems.is_empty(), "{problems:?}");
    }
}

#[test]
fn a_running_thread_is_stopped_and_runs_on() {
    let target = target!("spin");
    let snapshot = target.capture();
    let spinning = &snapshot.threads[1];
    assert_eq!((spinning.state, &spinning.syscall), (Some('R'), &None));
    assert_eq!(target.dir().stat(Some(spinning.tid)).expect("it lives").state, 'R');
}

#[test]
fn both_stacks_of_a_signal_handler_are_copied() {
    let target = target!("alternate");
    target.wait_for_state('S');
    let snapshot = target.capture();
    let thread = &snapshot.threads[0];
    assert_eq!(thread.stacks.len(), 2);
    assert!(stack_holds(thread, MARK));
    assert!(!thread.stacks[0].bytes.chunks_exact(8).any(|bytes| bytes == MARK.to_le_bytes()));
}

#[test]
fn a_thread_that_cannot_stop_is_described_and_let_go() {
    let mut target = target!("vfork");
    target.wait_for_state('D');
    let begin = Instant::now();
    let snapshot = target.capture();
    assert!(begin.elapsed() < Duration::from_millis(1500), "the process is not held for long");
    let thread = &snapshot.threads[0];
    assert!(!thread.stopped && thread.syscall.is_some());
    let registers = thread.registers.as_ref().expect("/proc tells some");
    let rbp = threaddump_arch::Arch::X86_64.fp();
    assert!(registers.pc().is_some() && registers.get(rbp).is_none() && !thread.stacks.is_empty());
    let problem = &thread.problems[0];
    assert!(problem.stage == "stop" && problem.message.contains("state D"), "{}", problem.message);
    assert_eq!(target.line(), "done", "it goes on by itself");
}

#[test]
fn code_without_a_file_is_copied_where_stacks_point_to_it() {
    let target = target!("jit");
    target.wait_for_state('S');
    let snapshot = target.capture();
    let call = |bytes: &[u8]| bytes.windows(2).position(|bytes| bytes == [0xff, 0xd7]);
    let found = snapshot.memory.iter().find_map(|piece| Some(piece.start + call(&piece.bytes)? as u64 + 2));
    let back = found.expect("the call is there");
    assert!(stack_holds(&snapshot.threads[0], back), "with its return address");
}

#[test]
fn a_process_that_starts_another_program_is_not_mixed_up() {
    let target = target!("exec", "1");
    let mut executed = 0;
    for _ in 0..60 {
        match live::prepare(target.pid(), &Options::default()).and_then(Prepared::capture) {
            Ok(snapshot) => {
                let pc = snapshot.threads[0].registers.as_ref().and_then(|registers| registers.pc());
                assert!(pc.is_some_and(|pc| snapshot.mapping_at(pc).is_some()), "{pc:x?}");
            }
            Err(CollectError::Executed { .. }) => executed += 1,
            // Between two programs it has no memory to speak of.
            Err(CollectError::Exited { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        target.check_released();
    }
    eprintln!("{executed} of 60 were interrupted by an exec");
}

#[test]
fn a_program_whose_file_is_gone_is_copied() {
    let Some(program) = program() else { return };
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("live_deleted");
    std::fs::copy(program, &path).expect("it can be copied");
    let target = Target::start(&path, &["threads", "1"]);
    std::fs::remove_file(&path).expect("it is there");
    let file = std::fs::read(program).expect("it is there");
    for replaced in [false, true] {
        if replaced {
            // Another file at the same path is not taken for it.
            std::fs::copy("/bin/sh", &path).expect("it can be copied");
        }
        let snapshot = target.capture();
        let exe = snapshot.modules.iter().find(|module| module.path.ends_with(b"/live_deleted"));
        let exe = exe.expect("it still is a module");
        assert!(exe.deleted);
        assert!(exe.image == ModuleImage::FileCopy(file.clone()));
    }
    std::fs::remove_file(&path).expect("it is there");
}

#[test]
fn what_cannot_be_looked_at_is_refused_with_the_cause() {
    let attempt = |pid| live::prepare(Pid(pid), &Options::default()).and_then(Prepared::capture).err();
    let own = std::process::id() as i32;
    assert!(matches!(attempt(own), Some(CollectError::Itself { .. })));
    for pid in [0, -1, i32::MIN, i32::MAX] {
        assert!(matches!(attempt(pid), Some(CollectError::NoSuchProcess { .. })), "{pid}");
    }
    let mut child = Command::new("true").spawn().expect("true is installed");
    let dir = ProcDir::open(format!("/proc/{}", child.id())).expect("it is ours");
    while !dir.stat(None).expect("nobody has collected it").has_ended() {
        std::thread::yield_now();
    }
    match attempt(child.id() as i32) {
        Some(CollectError::Zombie { parent: Some((parent, _)), .. }) => assert_eq!(parent, own),
        other => panic!("{other:?}"),
    }
    child.wait().expect("it is ours");
    let target = target!("threads", "1");
    let tid = target.dir().list_tasks().expect("it lives")[1];
    assert!(matches!(attempt(tid.0), Some(CollectError::NotAProcess { pid, .. }) if pid == target.pid()));
}

#[test]
fn a_process_with_another_tracer_is_refused_by_its_name() {
    let target = target!("threads", "1");
    let mut command = Command::new("strace");
    command.args(["-f", "-o", "/dev/null", "-p", &target.pid().to_string()]).stderr(Stdio::null());
    let Ok(mut tracer) = command.spawn() else {
        eprintln!("skipped: no strace");
        return;
    };
    while target.dir().status(None).expect("it lives").tracer == Some(0) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let error = live::prepare(target.pid(), &Options::default()).expect_err("it is taken");
    match &error {
        CollectError::AlreadyTraced { tracer: Some((pid, name)), .. } => {
            assert_eq!((*pid, name.as_str()), (tracer.id() as i32, "strace"));
        }
        other => panic!("{other:?}"),
    }
    tracer.kill().expect("it is ours");
    tracer.wait().expect("it is ours");
}

#[test]
fn a_snapshot_of_a_real_process_survives_its_file() {
    let target = target!("threads", "20");
    let snapshot = target.capture();
    let mut file = Vec::new();
    threaddump::snapshot::file::save(&snapshot, &mut file).expect("a vector takes everything");
    let loaded = threaddump::snapshot::file::load(&mut file.as_slice()).expect("it is whole");
    assert_eq!(format!("{loaded:?}"), format!("{snapshot:?}"));
    assert!(loaded.threads.iter().zip(&snapshot.threads).all(|(one, other)| one.stacks == other.stacks));
}
