//! Core files that end too early.
use super::*;

#[test]
fn a_cut_core_gives_what_it_has() {
    test("a truncated core file", || {
        let folder = folder("cut");
        let core = crashed(&folder)?;
        let bytes = std::fs::read(&core).expect("it is ours");
        let cut = folder.join("cut");
        let mut statuses = Vec::new();
        for tenths in 0..10 {
            std::fs::write(&cut, &bytes[..bytes.len() / 10 * tenths]).expect("the folder is ours");
            let output = output(threaddump(&[]).arg(&cut));
            let shown = text(&output.stdout);
            assert_eq!(shown.contains("the core file is truncated"), tenths > 0, "{tenths}: {shown}");
            statuses.push(output.status.code());
        }
        assert_eq!(statuses[0], Some(2), "nothing is left");
        assert!(statuses[1..].iter().all(|status| matches!(status, Some(0 | 1))), "{statuses:?}");
        Ok(())
    });
}

/// Bytes, threads and frames with a stack that a core file gives, which is cut; or an error about it.
fn given(path: &Path) -> Result<(u64, usize), String> {
    let read = CoreFile::open(path, u64::MAX).and_then(|file| file.snapshot(&Options::default()));
    let snapshot = read.map_err(|error| error.to_string())?;
    let said =
        snapshot.problems.iter().find_map(|problem| problem.message.strip_prefix("the core is cut after "));
    let bytes = said.and_then(|text| text.split(' ').next()?.parse().ok());
    let bytes = bytes.ok_or_else(|| format!("nothing says that it is cut: {:?}", snapshot.problems)).unwrap();
    let stacks = snapshot.threads.iter().filter(|thread| !thread.stacks.is_empty());
    Ok((bytes, snapshot.threads.len() + stacks.count()))
}

#[test]
fn a_compressed_core_gives_more_the_later_it_is_cut() {
    test("cut compressed core files", || {
        let folder = folder("cut-packed");
        let core = small(&folder)?;
        let size = std::fs::metadata(&core).expect("it is there").len();
        for words in [
            "zstd -c",
            "zstd -c -19",
            "zstd -c --no-check",
            "xz -1c",
            "xz -6c",
            "gzip -c",
            "lz4 -c",
            "lz4 -c -9 -B4",
            "lz4 -c -BD -BX",
            "lz4 -c -B5 --no-frame-crc",
        ] {
            let program = words.split(' ').next().expect("a name");
            if !has_program(program) {
                record::skip(&format!("core cut in {program}"), "it is not installed");
                continue;
            }
            let mut command = bounded(program);
            command.args(words.split(' ').skip(1)).stdin(File::open(&core).expect("it is there"));
            let packed = command.output().expect("it is installed").stdout;
            let (cut, mut first) = (folder.join("cut"), None);
            let (mut before, mut counted) = ((0, 0), 0);
            let steps = (0..8).chain((8..packed.len()).step_by(packed.len() / 50 + 1));
            for end in steps.chain([packed.len() - 9, packed.len() - 5, packed.len() - 1]) {
                std::fs::write(&cut, &packed[..end]).expect("the folder is ours");
                match given(&cut) {
                    Ok(now) => {
                        assert!(
                            now.0 >= before.0 && now.1 >= before.1,
                            "{words}, {end}: {now:?} after {before:?}"
                        );
                        before = now;
                        first = first.or(Some(end));
                        counted += 1;
                    }
                    Err(why) => assert!(first.is_none(), "{words}, {end}: {why} after {first:?}"),
                }
            }
            let first = first.unwrap_or(packed.len());
            record::summary(&format!(
                "core files: {words}: {counted} cuts shown, the first at {first} of {}, the last with {} of {size} bytes",
                packed.len(),
                before.0
            ));
            // Only the last block may be missing, of 128 KiB.
            assert!(before.0 + (1 << 18) > size, "{words}: {before:?} of {size}");
            if program == "lz4" {
                assert!(first < 4000, "{words} shows something in its first block: {first}");
            }
        }
        Ok(())
    });
}
