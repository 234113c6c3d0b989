use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use threaddump_arch::Arch;

use super::*;
use crate::images::tests::module_for;
use crate::images::{FileAccess, ImageOptions, Store};

const LIBC: &str = "/lib/x86_64-linux-gnu/libc.so.6";

fn with_images<T>(path: &Path, work: impl FnOnce(&Images<'_>) -> T) -> T {
    let store = Store::new();
    let mut modules = [module_for(path)];
    if std::fs::read(path).unwrap()[16] == 2 {
        modules[0].start = 0x40_0000; // ET_EXEC, as GNU ld links it
    }
    work(&Images::open(&store, Arch::X86_64, &modules, &FileAccess::Host, &ImageOptions::default()))
}

/// Pseudo-random file addresses in the executable segments.
fn addresses(image: &Image<'_>, count: usize) -> Vec<u64> {
    let bias = image.bias().unwrap();
    let code: Vec<u64> = (image.start()..image.end().min(image.start() + (1 << 28)))
        .step_by(4096)
        .filter(|&page| !image.code(page, 1).is_empty())
        .collect();
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
    if names.is_empty() {
        vec![("??".to_owned(), "??:0:0".to_owned())]
    } else {
        names.iter().map(form).collect()
    }
}

/// Whether two answers say the same. llvm-symbolizer 14 joins the directory twice for DWARF 5 and
/// gives up where only the debug file's symbols know a name. For the compiled function it takes
/// one of several aliases from the symbol table where we take DWARF's linkage name, as gdb does.
fn same(ours: &Answer, theirs: &Answer) -> bool {
    let base = |place: &str| match place.contains(":0:") {
        true => String::new(),
        false => place.rsplit('/').next().unwrap_or(place).to_owned(),
    };
    // It gives bare names where there is no linkage name; ours have their scopes.
    let bare =
        |name: &str| name.split('<').next().unwrap_or(name).rsplit("::").next().unwrap_or(name).to_owned();
    let with_scopes = ours.iter().zip(theirs).all(|(ours, theirs)| ours.0.ends_with(&theirs.0));
    let has_line = ours.last().is_some_and(|(_, place)| !place.ends_with(":0:0"));
    let form = |answer: &Answer| {
        let mut answer: Vec<_> = answer
            .iter()
            .map(|(name, place)| (if with_scopes { bare(name) } else { name.clone() }, base(place)))
            .collect();
        answer.last_mut().filter(|_| has_line).into_iter().for_each(|last| last.0.clear());
        answer
    };
    let unknown = theirs.iter().all(|(name, place)| name == "??" && place.starts_with("??"));
    // It also lets the last symbol of a section reach to the end of the segment.
    let padding = ours[0].0 == "??" && theirs[0].1.ends_with(":0:0");
    form(ours) == form(theirs) || padding || unknown && ours.len() == 1 && ours[0].1.starts_with("??")
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
            if !same(&ours, &theirs) {
                different.push(format!("{address:#x}\n  ours   {ours:?}\n  theirs {theirs:?}"));
            }
        }
        eprintln!("{}: symbols {prepared:?}, all {:?}", path.display(), begin.elapsed());
        assert_eq!(symbolizer.problems(), []);
        Some((addresses.len(), different))
    })
}

#[test]
fn the_last_part_of_a_name_is_found_between_brackets() {
    for (name, last) in [
        ("run", "run"),
        ("a::Box<b::C>::run<d::E>", "run"),
        ("drop_in_place<alloc::vec::Vec<T, Global>>", "drop_in_place"),
        ("(anonymous namespace)::run", "run"),
        ("core::{impl#0}::{closure#2}", "{closure#2}"),
        ("ns::operator<", "operator<"),
        ("", ""),
    ] {
        assert_eq!(last_name(name), last, "{name}");
    }
}

/// Every one of several hundred places all over libc, lines and inlined functions included.
#[test]
fn libc_has_the_names_and_lines_that_llvm_symbolizer_gives() {
    match differences(Path::new(LIBC), 300) {
        Some((_, different)) => assert!(different.is_empty(), "{}", different.join("\n")),
        None => eprintln!("skipped: llvm-symbolizer-14 is not installed"),
    }
}

#[test]
fn an_address_outside_every_module_has_no_name() {
    with_images(Path::new(LIBC), |images| {
        let mut symbolizer = Symbolizer::new(images, SymbolOptions::default());
        symbolizer.prepare(&[0, u64::MAX]);
        for address in [0, 1, u64::MAX, images.iter().next().unwrap().end()] {
            assert!(symbolizer.resolve(address).is_empty());
        }
        assert_eq!(symbolizer.problems(), []);
    });
}

#[inline(never)]
fn a_function_of_this_test() -> u32 {
    std::hint::black_box(line!())
}

#[test]
fn a_function_of_this_program_has_name_line_and_start() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let store = Store::new();
    let modules = crate::images::tests::modules_of(&maps);
    let access = FileAccess::Live { root: "/proc/self/root".into(), proc_dir: "/proc/self".into() };
    let images = Images::open(&store, Arch::X86_64, &modules, &access, &ImageOptions::default());
    let address = a_function_of_this_test as *const () as u64;
    let mut symbolizer = Symbolizer::new(&images, SymbolOptions::default());
    let names = symbolizer.resolve(address);
    let last = names.last().unwrap();
    assert_eq!(last.function.as_deref(), Some("threaddump::symbolize::tests::a_function_of_this_test"));
    assert_eq!((last.function_start, last.inlined), (Some(address), false));
    assert!(last.file.as_deref().unwrap().ends_with("src/symbolize/tests.rs"));
    // An optimized build has no code for the opening line.
    assert!(last.line.unwrap().abs_diff(a_function_of_this_test()) <= 1, "{names:?}");
    let plain = SymbolOptions { inlines: false, lines: false };
    let names = Symbolizer::new(&images, plain).resolve(address);
    assert_eq!(names.len(), 1);
    assert_eq!((&names[0].file, names[0].line, names[0].column), (&None, None, None));
    assert_eq!((names[0].function_start, names[0].inlined), (Some(address), false));
}

/// The kernel's library has no file; its symbols are in the memory image.
#[test]
fn functions_of_the_vdso_have_names() {
    use std::os::unix::fs::FileExt;
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let Some(line) = maps.lines().find(|line| line.ends_with("[vdso]")) else {
        eprintln!("skipped: this process has no vdso");
        return;
    };
    let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
    let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
    let mut bytes = vec![0; (end - start) as usize];
    std::fs::File::open("/proc/self/mem").unwrap().read_exact_at(&mut bytes, start).unwrap();
    let mut module = module_for(Path::new(LIBC));
    (module.path, module.start, module.end) = (b"[vdso]".to_vec(), start, end);
    module.image = crate::snapshot::ModuleImage::Memory(bytes);
    let store = Store::new();
    let images = Images::open(&store, Arch::X86_64, &[module], &FileAccess::Host, &ImageOptions::default());
    let image = images.iter().next().unwrap();
    assert!(image.build_id().is_some() && image.eh_sections().is_some());
    assert_eq!((image.bias(), images.problems().len()), (Some(start), 0));
    let mut symbolizer = Symbolizer::new(&images, SymbolOptions::default());
    let lookups: Vec<u64> = (start..end).step_by(4).collect();
    symbolizer.prepare(&lookups);
    let names: BTreeSet<String> =
        lookups.iter().filter_map(|&lookup| symbolizer.resolve(lookup).last()?.function.clone()).collect();
    assert!(names.iter().any(|name| name.ends_with("clock_gettime")), "{names:?}");
}
