//! A user who would keep crashes of others out of the store, by what he does in his own folder.
use super::*;

/// A folder in the store that belongs to a user, as after his first crash.
fn folder_of(folder: &Folder, user: u32) -> PathBuf {
    let path = folder.store().join(user.to_string());
    fs::create_dir(&path).expect("it is new");
    std::os::unix::fs::chown(&path, Some(user), None).expect("we are root");
    path
}

/// With a look at the folder for each name that goes, this would take minutes, in which nobody else stores anything.
#[test]
fn a_user_who_fills_his_folder_with_names_holds_nobody_up() {
    test("crashes: a folder full of names", || {
        needs_root()?;
        let folder = Folder::new("names");
        let store = folder.open();
        let his = folder_of(&folder, NOBODY);
        for number in 0..20_000 {
            fs::File::create(his.join(format!("{number:012x}-1.facts"))).expect("there is room");
        }
        put(&store, OTHER, "fail").expect("it is stored");
        assert_eq!(folder.list(OTHER).len(), 1);
        let left = fs::read_dir(&his).expect("it is there").count();
        assert_eq!(left, limits().crashes - 1);
        Ok(())
    });
}

#[test]
fn what_cannot_be_removed_from_a_folder_keeps_no_crash_of_others_out() {
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
    test("crashes: files that become folders", || {
        needs_root()?;
        let folder = Folder::new("swapped");
        let _ = folder.open();
        let store = Store::create(&folder.store(), Limits { crashes: 1, ..limits() }).expect("it is ours");
        let his = folder_of(&folder, NOBODY);
        let (name, other) = (his.join("00000000000a-1.facts"), his.join("other"));
        fs::create_dir(&other).expect("it is new");
        let stop = std::sync::atomic::AtomicBool::new(false);
        let results: Vec<_> = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    // It may have been removed.
                    let _ = fs::File::options().write(true).create_new(true).open(&name);
                    let _ = renameat2(AT_FDCWD, &name, AT_FDCWD, &other, RenameFlags::RENAME_EXCHANGE);
                }
            });
            let results = (0..300).map(|_| {
                put(&store, OTHER, "fail")
                    .and_then(|_| store.clean().map(drop).map_err(|error| error.to_string()))
            });
            let results = results.collect();
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            results
        });
        let failed: Vec<_> = results.into_iter().filter_map(Result::err).collect();
        assert!(failed.is_empty(), "{} failed, such as: {}", failed.len(), failed[0]);
        Ok(())
    });
}
