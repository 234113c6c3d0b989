//! Waiting for debuginfod: shown on a terminal, and ended by Ctrl-C.
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use super::args::RenderArgs;
use crate::debuginfod::{Debuginfod, Settings, Status, Watch};
use crate::sys::interrupt::Interrupt;

/// A text that the progress display shows behind its own.
pub(super) type Remark = Arc<Mutex<String>>;

/// The client, if one was asked for. `remark` is where to say how far it is.
pub(super) fn debuginfod(arguments: &RenderArgs, remark: &Remark) -> Option<Rc<Debuginfod>> {
    let settings = arguments.debuginfod.then(|| Settings::from_environment(arguments.debuginfod_timeout))?;
    let remark = Arc::clone(remark);
    let watch = move || -> Box<dyn Watch> {
        Box::new(Waiting { interrupt: Interrupt::listen(), remark: Arc::clone(&remark) })
    };
    Some(Rc::new(Debuginfod::new(settings, Box::new(watch))))
}

#[derive(Debug)]
struct Waiting {
    interrupt: Interrupt,
    remark: Remark,
}

impl Watch for Waiting {
    fn show(&mut self, status: Status) {
        set(&self.remark, text(status));
    }

    fn is_stopped(&self) -> bool {
        self.interrupt.is_pressed()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        set(&self.remark, String::new());
    }
}

fn text(Status { done, all, bytes }: Status) -> String {
    let (whole, tenths) = (bytes / 1_000_000, bytes / 100_000 % 10);
    format!(", debug file {} of {all}, {whole}.{tenths} MB (Ctrl-C: go on without)", (done + 1).min(all))
}

fn set(remark: &Remark, text: String) {
    if let Ok(mut remark) = remark.lock() {
        *remark = text;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_counts_files_and_megabytes() {
        let status = Status { done: 1, all: 3, bytes: 12_345_678 };
        assert_eq!(text(status), ", debug file 2 of 3, 12.3 MB (Ctrl-C: go on without)");
        assert!(text(Status { done: 3, ..status }).starts_with(", debug file 3 of 3"));
    }
}
