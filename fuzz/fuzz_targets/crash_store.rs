//! A store of crashes whose user put anything there: root lists, shows and cleans it.
#![no_main]

use std::io::Read;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use threaddump::crashes::{Facts, Id, Kind, Limits, Store};

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    use std::os::unix::fs::DirBuilderExt;
    let memory = PathBuf::from("/dev/shm");
    let base = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let folder = base.join(format!("threaddump-fuzz-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::DirBuilder::new().mode(0o700).create(&folder).expect("a folder");
    folder
});

// Parts with two zero bytes between them: a name and, after a line end, what is in the file. A name of one letter
// stands for that file of a crash with the facts that the part holds, so that ids fit.
fuzz_target!(|data: &[u8]| {
    let uid = nix_uid();
    let user = FOLDER.join(uid.to_string());
    let _ = std::fs::remove_dir_all(&user);
    {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new().mode(0o700).create(&user).expect("a folder");
    }
    let text = data.to_vec();
    let mut rest = &text[..];
    for _ in 0..12 {
        let end = rest.windows(2).position(|two| two == [0, 0]).unwrap_or(rest.len());
        let part = &rest[..end];
        let at = part.iter().position(|&byte| byte == b'\n').unwrap_or(part.len());
        let (name, bytes) = (&part[..at], part.get(at + 1..).unwrap_or_default());
        put(&user, uid, name, bytes);
        let Some(next) = rest.get(end + 2..) else { break };
        rest = next;
    }
    let store = Store::open(&FOLDER, Limits::default()).expect("it is ours");
    let listing = store.list().expect("it can be read");
    for crash in &listing.crashes {
        assert!(crash.first.number <= crash.latest.number && crash.count == crash.latest.number);
        for kind in [Kind::Text, Kind::Json] {
            if let Ok(file) = store.document(crash, &crash.latest, kind) {
                file.take(1 << 16).read_to_end(&mut Vec::new()).expect("it is a file");
            }
        }
    }
    store.clean().expect("it is ours");
});

fn nix_uid() -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(&*FOLDER).map_or(0, |facts| facts.uid())
}

fn put(user: &std::path::Path, uid: u32, name: &[u8], bytes: &[u8]) {
    let id = || Facts::decode(bytes).ok().map(|facts| Id::of(facts.fingerprint, uid));
    let name = match name {
        [digit @ b'1'..=b'9'] => {
            let Some(id) = id() else { return };
            for ending in ["txt", "json", "facts"] {
                let _ = std::fs::write(user.join(format!("{id}-{}.{ending}", char::from(*digit))), bytes);
            }
            return;
        }
        name => String::from_utf8_lossy(name).into_owned(),
    };
    // Names that lead elsewhere are not what this is about.
    if !name.is_empty() && !name.contains('/') && !name.contains('\0') && name != "." && name != ".." {
        let _ = std::fs::write(user.join(name), bytes);
    }
}
