//! Panics with panic=abort, with threads.
#[inline(never)]
fn wait_here() {
    loop {
        std::thread::park();
    }
}

fn main() {
    for number in 0..3 {
        std::thread::Builder::new().name(format!("rust-{number}")).spawn(wait_here).expect("a thread");
    }
    std::thread::sleep(std::time::Duration::from_millis(200));
    let empty: Vec<usize> = Vec::new();
    println!("{}", empty[std::env::args().count()]);
}
