//! debuginfod servers: Debian's, and some that hang, lie or send without end.
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::build::Folder;
use crate::program::{command, dump, is_bare, is_whole, parse, start};
use crate::support::process::{Running, wait_until};
use crate::support::{has_program, record};

/// Longer than any limit that a test sets, shorter than patience.
const SOON: Duration = Duration::from_secs(20);

/// A program whose debug file only a server has.
struct Case {
    folder: Folder,
    id: String,
    cache: PathBuf,
    running: Running,
}

impl Case {
    fn new(name: &str) -> Case {
        let folder = Folder::new(name);
        let id = folder.separate();
        let running = start(&folder.path("prog"));
        Case { cache: folder.path("cache"), id, running, folder }
    }

    fn dump(&self, urls: &str, arguments: &[&str]) -> (Vec<String>, Vec<String>) {
        let arguments = [&["--debuginfod"], arguments].concat();
        let begin = Instant::now();
        let result = dump(self.running.pid(), &arguments, &self.variables(urls));
        assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
        result
    }

    fn variables<'a>(&'a self, urls: &'a str) -> [(&'a str, &'a str); 2] {
        [("DEBUGINFOD_URLS", urls), ("DEBUGINFOD_CACHE_PATH", self.cache.to_str().unwrap())]
    }

    /// What is in the cache, except for what marks that no server has something.
    fn cached(&self) -> Vec<PathBuf> {
        let folders = fs::read_dir(&self.cache).into_iter().flatten().flatten();
        let files = folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten());
        let full = files.filter(|file| file.metadata().is_ok_and(|meta| meta.len() > 0));
        full.map(|file| file.path()).collect()
    }

    fn place(&self) -> PathBuf {
        self.cache.join(&self.id).join("debuginfo")
    }
}

/// A server that reads each request and then does something with the connection; tells each request.
fn server(answer: impl Fn(&mut TcpStream) + Send + Sync + Clone + 'static) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, requests) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (answer, sender) = (answer.clone(), sender.clone());
            std::thread::spawn(move || {
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).unwrap_or(0);
                let _ = sender.send(String::from_utf8_lossy(&request[..length]).into_owned());
                answer(&mut stream);
            });
        }
    });
    (url, requests)
}

fn hang(stream: &mut TcpStream) {
    // Until the other side gives up.
    let _ = stream.read(&mut [0; 16]);
}

fn send(stream: &mut TcpStream, head: &str, body: &[u8]) -> bool {
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).is_ok()
}

const OK: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";

/// Gives a file to whoever asks.
fn giving(path: &Path) -> (String, Receiver<String>) {
    let bytes = fs::read(path).unwrap();
    server(move |stream| {
        send(stream, &format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len()), &bytes);
    })
}

/// Debian's server for the files of a folder.
fn debuginfod(folder: &Path) -> Option<(Running, String)> {
    if !has_program("debuginfod") {
        record::skip("debuginfod", "debuginfod is not installed (Debian package debuginfod)");
        return None;
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new("debuginfod");
    command.args(["-F", "-d", ":memory:", "-p", &port.to_string()]).arg(folder);
    command.env_remove("DEBUGINFOD_URLS").stdout(Stdio::null()).stderr(Stdio::null());
    let running = Running::start(&mut command, "debuginfod").unwrap();
    let ready = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let count = text.lines().find_map(|line| line.strip_prefix("thread_work_total{role=\"scan\"} "))?;
        (count.parse::<u64>().ok()? > 0 && text.contains("thread_work_pending{role=\"scan\"} 0"))
            .then_some(())
    };
    assert!(wait_until(|| ready().is_some()), "debuginfod has not scanned its folder");
    Some((running, format!("http://127.0.0.1:{port}")))
}

#[test]
fn debians_server_gives_names_and_the_cache_is_shared_with_its_client() {
    let case = Case::new("debian");
    let files = case.folder.path("files");
    fs::create_dir_all(&files).unwrap();
    fs::rename(case.folder.path("prog.debug"), files.join("prog.debug")).unwrap();
    let Some((server, url)) = debuginfod(&files) else { return };
    assert!(is_bare(&dump(case.running.pid(), &[], &case.variables(&url)).0), "nothing is asked for");
    assert!(!case.cache.exists());
    let (frames, problems) = case.dump(&url, &[]);
    assert!(is_whole(&frames), "{frames:?} {problems:?}");
    assert_eq!(case.cached(), [case.place()]);
    drop(server);
    assert!(is_whole(&case.dump(&url, &[]).0), "from the cache");
    if has_program("debuginfod-find") {
        let mut find = Command::new("debuginfod-find");
        find.args(["debuginfo", &case.id]).envs(case.variables(&url));
        let output = find.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), case.place().to_str().unwrap());
    }
}

#[test]
fn files_that_the_other_client_fetched_are_used() {
    let case = Case::new("shared");
    fs::create_dir_all(case.place().parent().unwrap()).unwrap();
    fs::copy(case.folder.path("prog.debug"), case.place()).unwrap();
    let (frames, problems) = case.dump("", &[]);
    assert!(is_whole(&frames), "{frames:?}");
    assert_eq!(problems, Vec::<String>::new());
}

#[test]
fn a_server_that_hangs_costs_the_time_budget_and_no_more() {
    let case = Case::new("hangs");
    let (url, requests) = server(hang);
    let begin = Instant::now();
    let (frames, problems) = case.dump(&url, &["--debuginfod-timeout", "1s"]);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert!(is_bare(&frames));
    assert!(problems.contains(&format!("debuginfod: {url}: no answer within 900ms")), "{problems:?}");
    assert!(requests.try_recv().unwrap().starts_with(&format!("GET /buildid/{}/debuginfo ", case.id)));
    assert_eq!(case.cached(), Vec::<PathBuf>::new());
}

#[test]
fn a_server_that_hangs_does_not_keep_the_next_one_from_being_asked() {
    let case = Case::new("hangs-first");
    let (silent, _) = server(hang);
    let (good, _) = giving(&case.folder.path("prog.debug"));
    let (frames, problems) = case.dump(&format!("{silent} {good}"), &["--debuginfod-timeout", "4s"]);
    assert!(is_whole(&frames), "{frames:?} {problems:?}");
}

#[test]
fn a_server_that_trickles_is_given_up() {
    let case = Case::new("trickles");
    let bytes = fs::read(case.folder.path("prog.debug")).unwrap();
    let (url, _) = server(move |stream| {
        let mut going = send(stream, OK, &[]);
        for byte in &bytes {
            going = going && stream.write_all(&[*byte]).is_ok();
            if !going {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let (frames, problems) = case.dump(&url, &["--debuginfod-timeout", "2s"]);
    assert!(is_bare(&frames), "{frames:?}");
    assert!(problems.iter().any(|text| text.contains("fewer than 100000 bytes in 1.8s")), "{problems:?}");
    assert_eq!(case.cached(), Vec::<PathBuf>::new(), "nothing is left of it");
}

#[test]
fn ctrl_c_ends_the_fetch_and_the_dump_comes_all_the_same() {
    let case = Case::new("ctrl-c");
    let (url, requests) = server(|stream| {
        send(stream, OK, &[7; 1000]);
        hang(stream);
    });
    let arguments = ["--debuginfod", "--debuginfod-timeout", "10m"];
    let mut command = command(case.running.pid(), &arguments, &case.variables(&url));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    requests.recv_timeout(SOON).unwrap();
    assert!(wait_until(|| !case.cached().is_empty()), "something came");
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    let begin = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let (frames, problems) = parse(&output.stdout, &String::from_utf8_lossy(&output.stderr));
    assert!(is_bare(&frames));
    assert!(
        problems.contains(&"debuginfod: 1 debug file was not fetched: interrupted".to_owned()),
        "{problems:?}"
    );
    assert_eq!(case.cached(), Vec::<PathBuf>::new(), "nothing is left of it");
}

#[test]
fn a_file_with_another_build_id_is_refused_with_both() {
    let case = Case::new("lies");
    case.folder.run("separate_debug.c", "cc -O1 -g -Wl,--build-id=0x1234567890 $SRC -o other");
    let (url, _) = giving(&case.folder.path("other"));
    let (frames, problems) = case.dump(&url, &[]);
    assert!(is_bare(&frames));
    let note = format!("its build ID is 1234567890, not {}", case.id);
    assert!(problems.iter().any(|text| text.ends_with(&note)), "{problems:?}");
    assert_eq!(case.cached(), Vec::<PathBuf>::new());
    // In the cache it is refused, too, and replaced by the right one.
    fs::copy(case.folder.path("other"), case.place()).unwrap();
    let (good, _) = giving(&case.folder.path("prog.debug"));
    let (frames, problems) = case.dump(&good, &[]);
    assert!(is_whole(&frames), "{frames:?}");
    assert!(problems.iter().any(|text| text.ends_with(&note)), "{problems:?}");
}

#[test]
fn a_file_without_end_is_cut_at_the_limit() {
    let case = Case::new("endless");
    let (url, _) = server(|stream| {
        let mut going = send(stream, OK, &[]);
        while going {
            going = stream.write_all(&[0; 65536]).is_ok();
        }
    });
    let (huge, _) = server(|stream| {
        send(stream, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", &[0; 1000]);
        hang(stream);
    });
    for url in [url, huge] {
        let mut variables = case.variables(&url).to_vec();
        variables.push(("DEBUGINFOD_MAXSIZE", "1000000"));
        let (frames, problems) = dump(case.running.pid(), &["--debuginfod"], &variables);
        assert!(is_bare(&frames));
        assert!(problems.iter().any(|text| text.ends_with("larger than 1000000 bytes")), "{problems:?}");
        assert_eq!(case.cached(), Vec::<PathBuf>::new());
    }
}

#[test]
fn what_no_server_has_is_not_asked_for_again_for_a_while() {
    let case = Case::new("missing");
    let (url, requests) = server(|stream| {
        send(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", &[]);
    });
    let (frames, problems) = case.dump(&url, &[]);
    assert!(is_bare(&frames));
    assert_eq!(problems, Vec::<String>::new(), "it is no error");
    assert_eq!(requests.try_iter().count(), 1);
    case.dump(&url, &[]);
    assert_eq!(requests.try_iter().count(), 0);
    assert_eq!(fs::metadata(case.place()).unwrap().len(), 0);
}

#[test]
fn what_is_wrong_with_servers_and_places_is_told() {
    let case = Case::new("wrong");
    let (broken, _) = server(|stream| {
        send(stream, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", &[]);
    });
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refusing = format!("http://{unused}");
    let urls = format!("{broken} {refusing} ftp://x");
    let (_, problems) = case.dump(&urls, &[]);
    for text in [
        format!("debuginfod: {broken}: it answers with status 503"),
        format!("debuginfod: {refusing}: connection refused"),
        "debuginfod: ftp://x: neither http nor https".to_owned(),
    ] {
        assert!(problems.contains(&text), "{text}: {problems:?}");
    }
    let (_, problems) = case.dump("", &[]);
    assert!(
        problems.iter().any(|text| text.contains("no server is named in DEBUGINFOD_URLS")),
        "{problems:?}"
    );
    let (good, _) = giving(&case.folder.path("prog.debug"));
    let _ = fs::remove_dir_all(&case.cache);
    fs::write(&case.cache, "a file").unwrap();
    let (frames, problems) = case.dump(&good, &[]);
    assert!(problems.iter().any(|text| text.contains("cannot write to the cache")), "{problems:?}");
    assert!(is_whole(&frames), "names do not depend on the cache: {frames:?}");
    let left = fs::read_dir(std::env::temp_dir()).unwrap().flatten();
    let is_left =
        |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with("threaddump-debuginfod-");
    let left: Vec<_> = left.filter(|entry| is_left(entry) && entry.path().join(&case.id).exists()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_file_that_debug_files_share_is_fetched_too() {
    if !has_program("dwz") {
        record::skip("debuginfod with dwz", "dwz is not installed (Debian package dwz)");
        return;
    }
    let case = Case::new("dwz");
    case.folder.run(
        "debug_link.c",
        "cc -O2 -gdwarf-4 -Wl,--build-id=sha1 $SRC -o full && objcopy --only-keep-debug full one && cp one two && \
         dwz -m shared -M /nowhere/shared one two && strip -o prog2 full && \
         readelf -n shared | sed -n 's/.*Build ID: //p' > shared.id",
    );
    let shared = fs::read_to_string(case.folder.path("shared.id")).unwrap().trim().to_owned();
    let (one, two) =
        (fs::read(case.folder.path("one")).unwrap(), fs::read(case.folder.path("shared")).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            let is_shared = String::from_utf8_lossy(&request[..length]).contains(&shared);
            send(&mut stream, OK, if is_shared { &two } else { &one });
        }
    });
    let running = start(&case.folder.path("prog2"));
    let (frames, problems) = dump(running.pid(), &["--debuginfod"], &case.variables(&url));
    assert!(is_whole(&frames), "{frames:?} {problems:?}");
    assert_eq!(case.cached().len(), 2);
}
