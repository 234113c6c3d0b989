//! The `threaddump` program.
use std::io::stdout;
use threaddump::{collect, dump, ids::Pid, report};
fn main() {
    let mut debug = Vec::new();
    let mut pid = 0;
    let mut scan = false;
    let mut max = 1000;
    let mut args = std::env::args().skip(1);
    while let Some(a) = args.next() {
        match a.as_str() {
            "--format" => {
                args.next();
            }
            "--debug-dir" => debug.push(args.next().unwrap().into()),
            "--scan" => scan = true,
            "--max-frames" => max = args.next().unwrap().parse().unwrap(),
            p => {
                if let Ok(p) = p.parse() {
                    pid = p
                }
            }
        }
    }
    let mut options = dump::Options::with_debug_dirs(debug);
    options.unwind.scan = scan;
    options.unwind.max_frames = max;
    match dump::live::<collect::CollectError>(Pid(pid), &collect::Options::default(), &options, |_| Ok(())) {
        Ok(report) => {
            report::json::write(&report, &mut stdout()).unwrap();
            std::process::exit(if report.complete { 0 } else { 1 })
        }
        Err(e) => {
            eprintln!("{e}");
            std::process::exit(2)
        }
    }
}
