//! Overflows the stack of the first thread, or of another one; the standard library says so and aborts.
use std::hint::black_box;

#[inline(never)]
fn deeper(depth: u64) -> u64 {
    let room = black_box([depth; 100]);
    if depth == u64::MAX { 0 } else { deeper(black_box(depth + 1)) + room[(depth % 100) as usize] }
}

fn main() {
    if std::env::args().count() > 1 {
        let _ = std::thread::Builder::new().name("deep".to_owned()).spawn(|| deeper(0)).unwrap().join();
    }
    println!("{}", deeper(0));
}
