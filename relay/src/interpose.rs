//! What the preloaded library needs of the relay. No promise is made about it.
use crate::disposition::{self, role};
use crate::options::{MAX_PATH, Path};
use crate::proc::Tasks;
use crate::state::state;
use crate::sys::calls;
use crate::sys::signal::{self, Action};

/// The action of a signal as a program gives it and gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgramAction {
    /// Address of the handler, or SIG_DFL or SIG_IGN.
    pub handler: usize,
    /// Flags, as the kernel has them.
    pub flags: u64,
    /// Address of the code that the handler returns to.
    pub restorer: usize,
    /// Signals that are blocked meanwhile.
    pub mask: u64,
}

impl From<Action> for ProgramAction {
    fn from(action: Action) -> ProgramAction {
        let Action { handler, flags, restorer, mask } = action;
        ProgramAction { handler, flags, restorer, mask }
    }
}

impl From<ProgramAction> for Action {
    fn from(action: ProgramAction) -> Action {
        let ProgramAction { handler, flags, restorer, mask } = action;
        Action { handler, flags, restorer, mask }
    }
}

/// Whether the relay has taken the signal.
pub fn is_taken(signal: u32) -> bool {
    role(signal).is_some()
}

/// The action that the program has set for a signal that the relay has taken.
pub fn get(signal: u32) -> ProgramAction {
    match signal::action(signal, None) {
        // Something else than the interposed functions has set it.
        Ok(action) if !action.is_ours() => action.into(),
        _ => disposition::get(signal).into(),
    }
}

/// Sets the action of the program; `false` if the kernel must be told, since the relay does not stand between:
/// neither does it in a child of vfork, whose actions are its own while the memory of ours is its parent's.
pub fn set(signal: u32, action: ProgramAction) -> bool {
    let Some(role) = role(signal) else { return false };
    if state().is_borrowed() {
        return false;
    }
    disposition::set(signal, role, &action.into());
    disposition::is_between(role, &action.into())
}

/// Whether the calling process is a child of vfork, and all that is remembered is of its parent.
pub fn is_borrowed() -> bool {
    state().is_borrowed()
}

/// Whether handlers of the program may run on an alternate stack: not on ours, so not before it has one.
pub fn allow_stack(allowed: bool) {
    disposition::allow_stack(allowed);
}

/// Whether this is the stack that [`crate::install`] has given a thread.
pub fn is_first_stack(start: usize) -> bool {
    crate::sys::stack::is_given(start)
}

/// In a child of fork, at once: else its own children of vfork could not be told from it, and it could not be
/// asked from outside under its own name.
pub fn after_fork() {
    if crate::state::fixed().is_some() {
        state().is_own_process();
    }
}

/// Bytes of an alternate signal stack.
pub const STACK: usize = crate::ALTERNATE_STACK;

/// Memory for an alternate stack, with a guard page below it.
pub fn map_stack() -> Option<usize> {
    crate::sys::memory::map_guarded(STACK)
}

/// Makes it the alternate stack of the calling thread, if that has none.
pub fn use_stack(start: usize) {
    crate::sys::stack::use_alternate(start, STACK);
}

/// Takes it away again, from the thread that it was mapped for.
pub fn unmap_stack(start: usize) {
    crate::sys::stack::take_alternate(start, STACK);
}

/// The helper that belongs to the library that holds this address: `threaddump` beside it, or in `bin` if
/// the library is in `lib/threaddump`.
pub fn helper_beside(address: usize) -> Option<Path> {
    let tasks = Tasks::open()?;
    let mut path = [0; MAX_PATH];
    let mut length = 0;
    let fd = tasks.open_maps()?;
    crate::maps::each_line(fd, |line| {
        if let Some((start, end, name)) = crate::maps::bounds(line)
            && (start..end).contains(&(address as u64))
            && let Some(place) = path.get_mut(..name.len())
        {
            place.copy_from_slice(name);
            length = name.len();
        }
    });
    calls::close(fd);
    let library = path.get(..length)?;
    let folder = library.get(..library.iter().rposition(|&byte| byte == b'/')?)?;
    let beside = [folder, b"/threaddump"];
    let above = [folder.strip_suffix(b"/lib/threaddump").unwrap_or_default(), b"/bin/threaddump"];
    [beside, above].into_iter().find_map(|[folder, name]| {
        let mut whole = [0; MAX_PATH + 1];
        let length = folder.len() + name.len();
        whole.get_mut(..folder.len())?.copy_from_slice(folder);
        whole.get_mut(folder.len()..length)?.copy_from_slice(name);
        calls::is_executable(whole.get(..=length)?).then_some(())?;
        Path::new(whole.get(..length)?)
    })
}

/// Ends the program by a signal, which a dump notices.
pub fn end_here() -> ! {
    crate::sys::end_here()
}

/// Says on standard error that a setting is not understood.
pub fn complain(setting: &[u8]) {
    let mut line = [0; 512];
    let mut length = 0;
    let setting = setting.get(..400).unwrap_or(setting);
    for part in [b"threaddump relay: cannot understand the setting '".as_slice(), setting, b"'\n"] {
        if let Some(place) = line.get_mut(length..length + part.len()) {
            place.copy_from_slice(part);
            length += part.len();
        }
    }
    // There is nowhere else to say it.
    let _ = calls::write(2, line.get(..length).unwrap_or_default());
}
