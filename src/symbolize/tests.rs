use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use threaddump_arch::Arch;

use super::*;
use crate::images::tests::{Running, module_for};
use crate::images::{FileAccess, ImageOptions, Store};

const LIBC: &str = "/lib/x86_64-linux-gnu/libc.so.6";

fn with_images<T>(path: &Path, work: impl FnOnce(&Images<'_>) -> T) -> T {
    let store = Store::new();
    let modules = [module_for(path)];
    work(&Images::open(&store, Arch::X86_64, &modules, &FileAccess::Host, &ImageOptions::default()))
}

/// Pseudo-random file addresses in the executable segments.
fn addresses(image: &Image<'_>, count: usize) -> Vec<u64> {
    let bias = image.bias().unwrap();
    let code: Vec<u64> =
        (image.start()..image.end()).step_by(4096).filter(|&page| !image.code(page, 1).is_empty()).collect();
    let mut state = 7_u64;
    let mut chosen = BTreeSet::new();
    for _ in 0..count {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let page = code[(state >> 33) as usize % code.len()];
        chosen.insert(page.wrapping_sub(bias) + (state >> 20) % 4096);
    }
    chosen.into_iter().collect()
}

/// What llvm-symbolizer says: for each address a list of (function, file, line, column).
type Answer = Vec<(String, String)>;

fn llvm(path: &Path, addresses: &[u64]) -> Option<Vec<Answer>> {
    let mut child = Command::new("llvm-symbolizer-14")
        .args(["--inlining", "--output-style=LLVM", "--no-demangle"])
        .arg(format!("--obj={}", path.display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let text: String = addresses.iter().map(|address| format!("{address:#x}\n")).collect();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let out = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let answers = text.trim_end().split("\n\n").map(|block| {
        let lines: Vec<&str> = block.lines().collect();
        lines.chunks(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect()
    });
    Some(answers.collect())
}

/// Our answer in the same form.
fn ours(names: &[Named]) -> Answer {
    let form = |named: &Named| {
        let number = |value: Option<u32>| value.unwrap_or(0);
        let file = named.file.as_deref().unwrap_or("??");
        let place = format!("{file}:{}:{}", number(named.line), number(named.column));
        (named.function.clone().unwrap_or_else(|| "??".to_owned()), place)
    };
    if names.is_empty() { vec![("??".to_owned(), "??:0:0".to_owned())] } else { names.iter().map(form).collect() }
}

/// Differences between ours and llvm-symbolizer's answers; `None` if that is not installed.
fn differences(path: &Path, count: usize) -> Option<(usize, Vec<String>)> {
    with_images(path, |images| {
        let image = images.iter().next().unwrap();
        let bias = image.bias().unwrap();
        let addresses = addresses(image, count);
        let theirs = llvm(path, &addresses)?;
        let begin = std::time::Instant::now();
        let mut symbolizer = Symbolizer::new(images, SymbolOptions::default());
        let lookups: Vec<u64> = addresses.iter().map(|address| address.wrapping_add(bias)).collect();
        symbolizer.prepare(&lookups);
        let prepared = begin.elapsed();
        let mut different = Vec::new();
        for ((&address, &lookup), theirs) in addresses.iter().zip(&lookups).zip(theirs) {
            let ours = ours(&symbolizer.resolve(lookup));
            let theirs: Answer =
                theirs.into_iter().map(|(name, place)| (display_name(&name), place)).collect();
            if ours != theirs {
                different.push(format!("{address:#x}\n  ours   {ours:?}\n  theirs {theirs:?}"));
            }
        }
        eprintln!("{}: symbols {prepared:?}, all {:?}", path.display(), begin.elapsed());
        assert_eq!(symbolizer.problems(), []);
        Some((addresses.len(), different))
    })
}

#[test]
#[ignore = "compares the file named by COMPARE"]
fn compare() {
    let path = std::env::var("COMPARE").unwrap();
    let count = std::env::var("COUNT").map_or(400, |count| count.parse().unwrap());
    let (count, different) = differences(Path::new(&path), count).unwrap();
    for difference in &different {
        eprintln!("{difference}");
    }
    eprintln!("{} of {count} differ", different.len());
}
