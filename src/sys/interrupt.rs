//! Ctrl-C as a wish, not as an end.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

static PRESSED: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_: i32) {
    PRESSED.store(true, Ordering::Relaxed);
}

/// While it lives, the first SIGINT is noted; a second one ends the program.
#[derive(Debug)]
pub struct Interrupt {
    before: Option<SigAction>,
}

impl Interrupt {
    /// Begins to listen. Where SIGINT is ignored, as in a background job, it stays so.
    pub fn listen() -> Interrupt {
        PRESSED.store(false, Ordering::Relaxed);
        let ours = SigAction::new(SigHandler::Handler(note), SaFlags::SA_RESETHAND, SigSet::empty());
        // SAFETY: the handler does nothing but store to an atomic.
        let before = unsafe { sigaction(Signal::SIGINT, &ours) }.ok();
        let listen = Interrupt { before };
        if before.is_some_and(|before| matches!(before.handler(), SigHandler::SigIgn)) {
            listen.restore();
            return Interrupt { before: None };
        }
        listen
    }

    /// Whether SIGINT came.
    pub fn is_pressed(&self) -> bool {
        PRESSED.load(Ordering::Relaxed)
    }

    fn restore(&self) {
        if let Some(before) = &self.before {
            // SAFETY: what sigaction(2) gave back is as good as it was before.
            let _ = unsafe { sigaction(Signal::SIGINT, before) };
        }
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.restore();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupt_is_noted_and_ends_nothing() {
        let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        // SAFETY: no handler of ours is set. Who starts the tests in the background ignores the signal.
        let first = unsafe { sigaction(Signal::SIGINT, &default) }.unwrap();
        let interrupt = Interrupt::listen();
        assert!(!interrupt.is_pressed());
        nix::sys::signal::raise(Signal::SIGINT).unwrap();
        assert!(interrupt.is_pressed());
        drop(interrupt);
        let ours = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
        // SAFETY: no handler of ours is set.
        let before = unsafe { sigaction(Signal::SIGINT, &ours) }.unwrap();
        assert!(matches!(before.handler(), SigHandler::SigDfl));
        let ignored = Interrupt::listen();
        nix::sys::signal::raise(Signal::SIGINT).unwrap();
        assert!(!ignored.is_pressed());
        drop(ignored);
        // SAFETY: as it was.
        unsafe { sigaction(Signal::SIGINT, &first) }.unwrap();
    }
}
