//! Threads that wait, each in another way of the standard library, below closures, generic and recursive functions; and one
//! that spins. Says "pid N ready" when all of them stand where they stay.
use std::collections::BTreeMap;
use std::fmt::Display;
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex, RwLock, mpsc};
use std::thread::{self, Builder};
use std::time::Duration;

/// All but the first thread, and that.
const THREADS: usize = 8;
const LONG: Duration = Duration::from_secs(100_000);
static GOING: AtomicU32 = AtomicU32::new(0);

trait Visitor {
    fn visit(&mut self, depth: u32) -> u64;
}

struct Locks<'a> {
    held: &'a Mutex<u64>,
    sum: u64,
}

impl Visitor for Locks<'_> {
    #[inline(never)]
    fn visit(&mut self, depth: u32) -> u64 {
        if depth == 0 {
            self.sum += *self.held.lock().unwrap();
        } else {
            self.sum += self.visit(depth - 1);
        }
        black_box(self.sum + 1)
    }
}

#[inline(never)]
fn generic<T: Display, F: FnOnce(&T) -> u64>(value: T, then: F) -> u64 {
    let length = value.to_string().len() as u64;
    black_box(then(&value) + length)
}

#[inline(always)]
fn inlined(pair: &(Mutex<bool>, Condvar)) -> u64 {
    let mut done = pair.0.lock().unwrap();
    while !*done {
        done = pair.1.wait(done).unwrap();
    }
    1
}

#[inline(never)]
fn spin() -> u64 {
    GOING.fetch_add(1, Ordering::SeqCst);
    loop {
        // One instruction, so that its place is always the same.
        #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
        unsafe { std::arch::asm!("2: jmp 2b") };
        #[cfg(any(target_arch = "aarch64", target_arch = "arm", target_arch = "powerpc64"))]
        unsafe { std::arch::asm!("2: b 2b") };
        #[cfg(any(target_arch = "riscv64", target_arch = "s390x"))]
        unsafe { std::arch::asm!("2: j 2b") };
    }
}

fn start(name: &str, ready: &Arc<Barrier>, body: impl FnOnce() -> u64 + Send + 'static) {
    let ready = Arc::clone(ready);
    // Little to keep in a core file.
    let small = Builder::new().name(name.to_owned()).stack_size(128 << 10);
    let thread = small.spawn(move || {
        ready.wait();
        black_box(body())
    });
    thread.unwrap();
}

fn main() {
    let ready = Arc::new(Barrier::new(THREADS));
    let held = Arc::new(Mutex::new(0));
    let guard = held.lock().unwrap();
    let shared = Arc::new(RwLock::new(BTreeMap::from([(1_u32, "one")])));
    let writing = shared.write().unwrap();

    let mutex = Arc::clone(&held);
    start("mutex", &ready, move || Locks { held: &mutex, sum: 0 }.visit(5));
    let pair = Arc::new((Mutex::new(false), Condvar::new()));
    start("condvar", &ready, move || generic(7, |_| inlined(&pair)));
    let lock = Arc::clone(&shared);
    start("rwlock", &ready, move || lock.read().unwrap().len() as u64);
    let (sender, receiver) = mpsc::channel::<u64>();
    start("channel", &ready, move || generic("text", move |_| receiver.recv().unwrap()));
    start("sleep", &ready, || {
        thread::sleep(LONG);
        1
    });
    start("park", &ready, || loop {
        thread::park();
    });
    start("spin", &ready, spin);
    ready.wait();
    while GOING.load(Ordering::SeqCst) == 0 {
        thread::yield_now();
    }
    // The others are on their way to where they wait.
    thread::sleep(Duration::from_millis(500));
    println!("pid {} ready", std::process::id());
    thread::scope(|scope| {
        let join = scope.spawn(|| generic(8.5, |_| {
            thread::sleep(LONG);
            2
        }));
        join.join().unwrap()
    });
    drop((guard, writing, sender));
}
