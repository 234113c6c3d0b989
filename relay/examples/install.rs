//! A program that installs the relay by itself: it dumps its threads on SIGQUIT, and when it crashes.
//!
//! The settings are its first argument, as in `helper=none,out=/tmp/%p.txt`. It waits for a line, and then
//! crashes if it has a second argument.
use threaddump_relay::{Options, install};

fn wait() {
    let mut line = String::new();
    // Whatever comes, it was waited for.
    let _ = std::io::stdin().read_line(&mut line);
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let settings = arguments.next().unwrap_or_default();
    let mut options = Options::DEFAULT;
    options
        .apply(settings.as_bytes())
        .map_err(|setting| format!("cannot understand '{}'", String::from_utf8_lossy(setting)))?;
    install(options)?;
    let worker = std::thread::Builder::new().name("worker".to_owned());
    worker.spawn(|| {
        println!("ready");
        loop {
            std::thread::park();
        }
    })?;
    wait();
    if arguments.next().is_some() {
        std::process::abort();
    }
    println!("went on");
    Ok(())
}
