//! The entries of an unwind section, with limits.
//!
//! An entry names the common part (CIE) it shares with others, and parsing it costs its length. In
//! hostile sections every entry may name another long one; so lengths and the sum are limited.
use gimli::{BaseAddresses, FrameDescriptionEntry, Reader, UnwindOffset, UnwindSection};

use crate::address::FileAddress;
use crate::error::CfiError;

/// Bytes of a CIE. Those of compilers have about 30.
const MAX_CIE: usize = 1 << 16;
/// Bytes of an entry. All of its instructions may have to be run for one address.
const MAX_FDE: usize = 1 << 20;
/// Entries looked at in one pass; browsers have about a million.
const MAX_ENTRIES: usize = 1 << 22;
/// Entries of length 0 passed over; a hole in a file is full of them.
const MAX_EMPTY: usize = 1 << 16;
/// Bytes of CIEs parsed in one pass, as a multiple of the section's length.
const MAX_CIE_SHARE: usize = 8;

/// An unwind section whose offsets are those of memory.
pub(crate) trait Frames<R: Reader<Offset = usize>>:
    UnwindSection<R, Offset: UnwindOffset<usize>> + gimli::Section<R>
{
    /// Whether an entry of length 0 ends the section. (Assemblers wrote some into `.debug_frame`.)
    const ENDS_AT_ZERO: bool;
}

impl<R: Reader<Offset = usize>> Frames<R> for gimli::EhFrame<R> {
    const ENDS_AT_ZERO: bool = true;
}

impl<R: Reader<Offset = usize>> Frames<R> for gimli::DebugFrame<R> {
    const ENDS_AT_ZERO: bool = false;
}

type Cie<R> = gimli::CommonInformationEntry<R>;

/// A CIE and its length in bytes.
fn cie_at<R, S>(section: &S, bases: &BaseAddresses, offset: S::Offset) -> gimli::Result<(Cie<R>, usize)>
where
    R: Reader<Offset = usize>,
    S: Frames<R>,
{
    let mut rest = section.reader().clone();
    rest.skip(UnwindOffset::into(offset))?;
    let (length, _) = rest.read_initial_length()?;
    if length > MAX_CIE {
        return Err(gimli::Error::UnsupportedOffset);
    }
    Ok((section.cie_from_offset(bases, offset)?, length))
}

/// The entry at a section offset.
pub(crate) fn entry_at<R, S>(
    section: &S,
    bases: &BaseAddresses,
    offset: usize,
) -> Result<FrameDescriptionEntry<R>, CfiError>
where
    R: Reader<Offset = usize>,
    S: Frames<R>,
{
    let cie = |section: &S, bases: &BaseAddresses, offset| cie_at(section, bases, offset).map(|(cie, _)| cie);
    let fde = section.fde_from_offset(bases, S::Offset::from(offset), cie).map_err(CfiError::Damaged)?;
    if fde.entry_len() > MAX_FDE { Err(CfiError::TooLarge) } else { Ok(fde) }
}

/// Section offsets of all entries, CIEs among them, as far as the lengths lead.
fn places<R, S>(section: &S) -> impl Iterator<Item = usize>
where
    R: Reader<Offset = usize>,
    S: Frames<R>,
{
    let mut rest = section.reader().clone();
    let end = rest.len();
    let mut empty = if S::ENDS_AT_ZERO { 0 } else { MAX_EMPTY };
    let next = core::iter::from_fn(move || {
        loop {
            let place = end - rest.len();
            let (length, _) = rest.read_initial_length().ok()?;
            rest.skip(length).ok()?;
            if length != 0 {
                return Some(place);
            }
            empty = empty.checked_sub(1)?;
        }
    });
    next.take(MAX_ENTRIES)
}

/// Every entry that can be parsed. Linkers leave the entries of functions they discard at address 0
/// (in `.debug_frame`); the headers of the file are there, never code.
pub(crate) fn each<R, S>(section: &S, bases: &BaseAddresses, mut entry: impl FnMut(FrameDescriptionEntry<R>))
where
    R: Reader<Offset = usize>,
    S: Frames<R>,
{
    let mut left = section.reader().len().saturating_mul(MAX_CIE_SHARE);
    // Most entries share the CIE of the one before.
    let mut last: Option<(S::Offset, Cie<R>)> = None;
    for place in places(section) {
        let fde = section.fde_from_offset(bases, S::Offset::from(place), |section, bases, offset| {
            if let Some((_, cie)) = last.as_ref().filter(|(known, _)| *known == offset) {
                return Ok(cie.clone());
            }
            let (cie, length) = cie_at(section, bases, offset)?;
            left = left.saturating_sub(length);
            last = Some((offset, cie.clone()));
            Ok(cie)
        });
        if left == 0 {
            return;
        }
        if let Ok(fde) = fde
            && fde.initial_address() != 0
            && fde.len() > 0
        {
            entry(fde);
        }
    }
}

/// The entry that covers the address; where several do, the one that starts last.
pub(crate) fn linear<R, S>(
    section: &S,
    bases: &BaseAddresses,
    address: FileAddress,
) -> Option<FrameDescriptionEntry<R>>
where
    R: Reader<Offset = usize>,
    S: Frames<R>,
{
    let mut best: Option<FrameDescriptionEntry<R>> = None;
    each(section, bases, |fde| {
        let later = best.as_ref().is_none_or(|best| best.initial_address() < fde.initial_address());
        if later && fde.contains(address.0) {
            best = Some(fde);
        }
    });
    best
}
