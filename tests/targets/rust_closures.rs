// Rust: closures, generics, trait objects, trait methods, threads; both manglings.
// build(legacy): RUSTC_BOOTSTRAP=1 rustc --edition 2021 -O -g -Z unstable-options -C symbol-mangling-version=legacy $SRC -o $OUT
// build(v0): rustc --edition 2021 -O -g -C symbol-mangling-version=v0 $SRC -o $OUT
// build(debug): rustc --edition 2021 -g $SRC -o $OUT
// build(abort): rustc --edition 2021 -O -g -C panic=abort -C force-unwind-tables=no $SRC -o $OUT
// build(stripped): rustc --edition 2021 -O -C strip=symbols $SRC -o $OUT
// build(musl): rustc --edition 2021 -O -g --target x86_64-unknown-linux-musl $SRC -o $OUT
// build(O3): rustc --edition 2021 -C opt-level=3 -g $SRC -o $OUT
// build(debug-v0): rustc --edition 2021 -g -C symbol-mangling-version=v0 $SRC -o $OUT
// build(fat-lto): rustc --edition 2021 -O -g -C lto=fat $SRC -o $OUT
// build(thin-lto): rustc --edition 2021 -O -g -C lto=thin $SRC -o $OUT
// build(dwarf5): rustc --edition 2021 -O -g -C dwarf-version=5 $SRC -o $OUT
// build(dwarf5-lto): rustc --edition 2021 -O -g -C dwarf-version=5 -C lto=fat $SRC -o $OUT
// build(limited): rustc --edition 2021 -O -C debuginfo=1 $SRC -o $OUT
// build(line-tables): rustc --edition 2021 -O -C debuginfo=line-tables-only $SRC -o $OUT
// build(zlib): rustc --edition 2021 -O -g -C link-arg=-Wl,--compress-debug-sections=zlib $SRC -o $OUT
// build(separate): rustc --edition 2021 -O -g -C link-arg=-Wl,--build-id=sha1 $SRC -o $OUT.full && rm -rf $OUT.dir && id=$(readelf -n $OUT.full | sed -n 's/.*Build ID: //p') && mkdir -p $OUT.dir/.build-id/${id%${id#??}} && objcopy --only-keep-debug $OUT.full $OUT.dir/.build-id/${id%${id#??}}/${id#??}.debug && strip -o $OUT $OUT.full
// build(packed): rustc --edition 2021 -O -g -C split-debuginfo=packed $SRC -o $OUT
// build(unpacked): rustc --edition 2021 -O -g -C split-debuginfo=unpacked $SRC -o $OUT
// debug-dir(separate): $OUT.dir
// needs(musl): rust:x86_64-unknown-linux-musl
// stack(legacy): stay < describe < generic < main
// stack(v0): stay < describe < generic < main
// stack(debug): stay < describe < generic < main
// stack(abort): stay < describe < generic < main
// stack(O3,debug-v0,dwarf5,dwarf5-lto,limited,zlib,separate,packed,unpacked): stay < describe < generic < main
// stack(fat-lto,thin-lto,line-tables): stay < describe < main
// threads: 3
use std::io::Write;
use std::sync::{Arc, Barrier, Mutex};

trait Shape {
    fn describe(&self, n: u64) -> u64;
}

struct Square<T>(T);

impl<T: Copy + Into<u64>> Shape for Square<T> {
    #[inline(never)]
    fn describe(&self, n: u64) -> u64 {
        stay(self.0.into() + n).wrapping_mul(3)
    }
}

#[inline(never)]
fn stay(n: u64) -> u64 {
    println!("ready");
    std::io::stdout().flush().unwrap();
    loop {
        std::thread::park();
        std::hint::black_box(n);
    }
}

#[inline(never)]
fn generic<F: FnOnce(u64) -> u64>(f: F, n: u64) -> u64 {
    f(n).wrapping_add(1)
}

fn main() {
    let barrier = Arc::new(Barrier::new(3));
    let lock: Arc<Mutex<u64>> = Arc::default();
    let held = lock.lock().unwrap();
    for _ in 0..2 {
        let (barrier, lock) = (barrier.clone(), lock.clone());
        std::thread::spawn(move || {
            barrier.wait();
            let mut values = vec![3u64, 1, 2];
            values.sort_by(|a, b| {
                *lock.lock().unwrap() += 1;
                a.cmp(b)
            });
        });
    }
    barrier.wait();
    let shape: Box<dyn Shape> = Box::new(Square(7u32));
    let result = generic(move |n| shape.describe(n).wrapping_add(*held), 5);
    std::process::exit(result as i32);
}
