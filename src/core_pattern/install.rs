//! Putting the pattern into force, and taking it away.
use std::io;
use std::path::{Path, PathBuf};

use super::state::{save, saved, write};
use super::{LIMIT, Owner, PATTERN, PIPE_LIMIT, PatternError, Places, Saved};
use super::{build, check, current, number, write_setting};

/// What to install.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program that the kernel is to call.
    pub program: PathBuf,
    /// Arguments of `handle-core`.
    pub options: Vec<String>,
    /// Pass the core on to the handler that is there.
    pub chain: bool,
}

/// What was installed.
#[derive(Clone, Debug)]
pub struct Installed {
    /// The pattern in force.
    pub pattern: String,
    /// What was there before.
    pub before: Saved,
}

/// What was put back.
#[derive(Clone, Debug)]
pub struct Removed {
    /// The pattern in force.
    pub pattern: String,
}

/// Makes the kernel call this program for each crash, also after the next start of the machine.
///
/// # Errors
/// If that would not work; then nothing has changed.
pub fn install(plan: &Plan, places: &Places) -> Result<Installed, PatternError> {
    check(&plan.program)?;
    let now = current()?;
    // Installed again, it is still the first pattern that is put back one day.
    let (pattern, pipe_limit) = match (Owner::of(&now), saved(places)) {
        (Owner::Threaddump, Some(saved)) => (saved.pattern, saved.pipe_limit),
        (Owner::Threaddump, None) => ("core".to_owned(), 0),
        // Somebody has set another pattern since, and left our limit.
        (_, Some(saved)) if number(LIMIT) == Some(PIPE_LIMIT) => (now.clone(), saved.pipe_limit),
        _ => (now.clone(), number(LIMIT).unwrap_or(0)),
    };
    if plan.chain && !matches!(Owner::of(&pattern), Owner::Program(_)) {
        let why =
            format!("there is no handler to pass the core on to: crashes belong to {}", Owner::of(&pattern));
        return Err(PatternError::refused(why, "install it without --chain"));
    }
    let mut options = plan.options.clone();
    if plan.chain {
        options.push("--chain".to_owned());
    }
    let ours = build(&plan.program, &options, plan.chain.then_some(pattern.as_str()))?;
    let before = Saved { pattern, pipe_limit, chain: plan.chain, ours: ours.clone() };
    let (old_limit, old_state) = (number(LIMIT), saved(places));
    save(places, &before)?;
    let result = put(&ours, places).and_then(|()| {
        let read = current()?;
        if read == ours {
            return Ok(());
        }
        Err(PatternError::refused(format!("the kernel made this of the pattern: {read}"), "report this"))
    });
    if let Err(error) = result {
        // As it was, as far as that can be done.
        let _ = write_setting(PATTERN, &now);
        let _ = old_limit.map(|limit| write_setting(LIMIT, &limit.to_string()));
        let _ = match old_state {
            Some(state) => save(places, &state).is_ok(),
            None => remove(&places.state).is_ok() && remove(&places.sysctl).is_ok(),
        };
        return Err(error);
    }
    Ok(Installed { pattern: ours, before })
}

fn put(ours: &str, places: &Places) -> Result<(), PatternError> {
    let text = format!(
        "# Written by threaddump core-pattern install; threaddump core-pattern uninstall removes it.\n\
         kernel.core_pattern={ours}\nkernel.core_pipe_limit={PIPE_LIMIT}\n"
    );
    write(&places.sysctl, text.as_bytes())?;
    // First the limit: a handler without one may find the process gone.
    write_setting(LIMIT, &PIPE_LIMIT.to_string())?;
    write_setting(PATTERN, ours)
}

/// Puts back what was there before. A pattern that somebody else has set since stays.
///
/// # Errors
/// If this program was not installed, or something cannot be written.
pub fn uninstall(places: &Places) -> Result<Removed, PatternError> {
    let (now, known) = (current()?, saved(places));
    let is_ours = Owner::of(&now) == Owner::Threaddump;
    if !is_ours && known.is_none() {
        let why = format!("threaddump is not installed: crashes belong to {}", Owner::of(&now));
        return Err(PatternError::refused(why, "see: threaddump core-pattern status"));
    }
    if is_ours {
        let (pattern, limit) =
            known.map_or(("core".to_owned(), 0), |known| (known.pattern, known.pipe_limit));
        write_setting(PATTERN, &pattern)?;
        write_setting(LIMIT, &limit.to_string())?;
    } else if let Some(known) = known.filter(|_| number(LIMIT) == Some(PIPE_LIMIT)) {
        // Nobody has set it since.
        write_setting(LIMIT, &known.pipe_limit.to_string())?;
    }
    remove(&places.sysctl)?;
    remove(&places.state)?;
    Ok(Removed { pattern: current()? })
}

fn remove(path: &Path) -> Result<(), PatternError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(PatternError::io("remove", path)(error)),
        _ => Ok(()),
    }
}
