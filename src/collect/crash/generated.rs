//! What a crashed process says about the code that its JIT compilers have made: objects in its memory, and a file.
use std::fs::File;
use std::io;
use std::time::Instant;

use super::super::code::Pointers;
use super::super::{generated, perf_map};
use super::{Held, Limits};
use crate::snapshot::{Problem, Snapshot};

impl Held {
    /// Copies the objects that are registered at these descriptors (process addresses), which can be done until the
    /// process is let go.
    pub fn add_generated(&self, places: &[u64], limits: &Limits, snapshot: &mut Snapshot) {
        let Some(memory) = self.reader.as_ref().filter(|_| !places.is_empty()) else { return };
        generated::copy_at_rest(memory, places, snapshot);
        if Instant::now() >= limits.deadline {
            let what =
                "what is registered about generated code was not copied in the time the process may be held";
            snapshot.problems.push(Problem::new("jit", what));
        }
    }

    /// The ids by which its perf map may be called: the one that it has seen itself comes first.
    pub fn map_ids(&self) -> Vec<i32> {
        let mut ids: Vec<i32> = self.facts.ns_pid.into_iter().chain([self.event.pid.0]).collect();
        ids.dedup();
        ids
    }

    /// Adds the names in perf maps, of which the first that can be used counts. `files` are those of
    /// [`Held::map_ids`], of which there may be none.
    pub fn add_perf_names(&self, files: Vec<Option<io::Result<File>>>, snapshot: &mut Snapshot) {
        let mut problems = Vec::new();
        let pointers = Pointers::of(&snapshot.mappings, &snapshot.modules, &snapshot.threads);
        let (wanted, started) = (pointers.lookups(), snapshot.process.start_time_ns);
        for (id, file) in self.map_ids().into_iter().zip(files) {
            let Some(file) = file else { continue };
            let path = format!("/tmp/perf-{id}.map");
            let names = perf_map::opened(&path, file, &self.uids, started, &wanted, &mut problems);
            if let Some(names) = names {
                snapshot.code_names = names;
                break;
            }
        }
        snapshot.problems.extend(problems.into_iter().map(|what| Problem::new("jit", what)));
    }
}
