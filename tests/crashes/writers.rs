//! Many writers, writers that are killed, and full disks.
use super::*;

#[test]
fn a_hundred_writers_at_once_lose_nothing() {
    let folder = Folder::new("hundred");
    let user = geteuid().as_raw();
    folder.open();
    let path = folder.store();
    let began = Instant::now();
    std::thread::scope(|scope| {
        for number in 0..100 {
            let path = &path;
            scope.spawn(move || {
                let store = Store::create(path, limits()).expect("it is ours");
                put(&store, user, &format!("f{}", number % 10)).expect("there is room, and time");
            });
        }
    });
    let took = began.elapsed();
    let list = folder.list(user);
    assert_eq!(list.len(), 10);
    assert!(list.iter().all(|one| one["count"] == 10), "{list:?}");
    let files = fs::read_dir(path.join(user.to_string())).expect("it is there").count();
    assert_eq!(files, 60, "first and latest of ten, three files each");
    record::summary(&format!("crashes: 100 writers at once stored 100 crashes in {} ms", took.as_millis()));
}

/// What the next test starts, and kills.
#[test]
fn writer_that_is_killed() {
    let Some(path) = std::env::var_os("THREADDUMP_WRITER") else { return };
    let store = Store::create(Path::new(&path), limits()).expect("it is ours");
    loop {
        put(&store, geteuid().as_raw(), "killed").expect("there is room");
    }
}

#[test]
fn a_writer_that_is_killed_leaves_whole_crashes_only() {
    let folder = Folder::new("killed");
    let user = geteuid().as_raw();
    let store = folder.open();
    let (mut latest, mut left) = (0, 0);
    for round in 0..40_u64 {
        let mut command = Command::new(std::env::current_exe().expect("it runs"));
        command.args(["--exact", "writers::writer_that_is_killed"]).env("THREADDUMP_WRITER", folder.store());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
        std::thread::sleep(Duration::from_millis(30 + 7 * (round % 13)));
        kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL).expect("it is ours");
        child.wait().expect("it is ours");
        left += fs::read_dir(folder.store().join(".new")).map_or(0, Iterator::count);
        let listing = store.list().expect("it can be read");
        assert_eq!(listing.problems, Vec::<String>::new());
        for crash in &listing.crashes {
            assert!(crash.count >= latest, "a count does not go back");
            latest = crash.count;
            for seen in [&crash.first, &crash.latest] {
                for (kind, expected) in
                    [(Kind::Text, "crash in killed\n"), (Kind::Json, "{\"function\":\"killed\"}\n")]
                {
                    let file = store.document(crash, seen, kind).expect("what is listed is there");
                    assert_eq!(std::io::read_to_string(file).expect("it is text"), expected);
                }
            }
        }
    }
    assert!(latest > 0);
    std::thread::sleep(Duration::from_secs(7));
    store.clean().expect("it is ours");
    assert_eq!(fs::read_dir(folder.store().join(".new")).expect("it is there").count(), 0);
    let files = fs::read_dir(folder.store().join(user.to_string())).expect("it is there").count();
    assert_eq!(files, 6, "first and latest");
    record::summary(&format!(
        "crashes: 40 writers killed after {latest} crashes left {left} unfinished files, and no half crash"
    ));
}

/// What the next test starts on a small file system.
#[test]
fn writer_on_a_full_disk() {
    let Some(path) = std::env::var_os("THREADDUMP_SMALL") else { return };
    let (path, user) = (Path::new(&path), geteuid().as_raw());
    let everything = Store::create(&path.join("full"), limits()).expect("it is ours");
    let stored = put(&everything, user, "first").expect("there is room");
    let mut new = everything.begin(user).expect("there is room for the names");
    let big = vec![b'x'; 4 << 20];
    let error = new.json().write_all(&big).expect_err("it does not fit");
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    // Not a byte is free now.
    assert!(put(&everything, user, "second").is_err());
    drop(new);
    let listing = everything.list().expect("it can be read");
    assert_eq!(listing.crashes.iter().map(|crash| crash.id.to_string()).collect::<Vec<_>>(), [stored]);
    assert_eq!(fs::read_dir(path.join("full/.new")).expect("it is there").count(), 0);
    everything.clean().expect("it is ours");
    // With 1 MiB of 2 to be kept free, old crashes give way.
    let half = Limits { keep_free: Some(1 << 20), ..limits() };
    let store = Store::create(&path.join("half"), half).expect("it is ours");
    for number in 0..10 {
        let mut new = store.begin(user).expect("it can be begun");
        new.json().write_all(&big[..300 << 10]).expect("there is room");
        new.commit(&facts(user, &format!("f{number}"))).expect("old ones give way");
        let free = nix::sys::statvfs::statvfs(path).expect("it is mounted");
        assert!(free.blocks_available() * free.fragment_size() >= 1 << 20);
    }
    let left = store.list().expect("it can be read").crashes.len();
    assert!((1..=3).contains(&left), "{left}");
}

#[test]
fn on_a_full_disk_a_crash_is_stored_whole_or_not_at_all() {
    test("a full disk", || {
        needs_root()?;
        if !has_program("unshare") {
            return Err(Stop::Skip("there is no unshare".to_owned()));
        }
        let folder = Folder::new("disk");
        let small = folder.0.join("small");
        fs::create_dir(&small).map_err(|error| error.to_string())?;
        let mount = "mount -t tmpfs -o size=2m none \"$THREADDUMP_SMALL\" || exit 77; exec \"$0\" --exact writers::writer_on_a_full_disk";
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", mount]).arg(program).env("THREADDUMP_SMALL", &small);
        let output = command.output().map_err(|error| error.to_string())?;
        match output.status.code() {
            Some(0) => Ok(()),
            Some(77) => Err(Stop::Skip("nothing can be mounted".to_owned())),
            _ => Err(Stop::Fail(text(&output.stdout) + &text(&output.stderr))),
        }
    });
}
