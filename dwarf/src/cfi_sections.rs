//! The sections that `.eh_frame` unwinding needs.

/// `.eh_frame` of a module and what belongs to it. Addresses are file addresses.
#[derive(Clone, Debug)]
pub struct EhSections<R> {
    /// `.eh_frame`; may run on past its end where its size is not known.
    pub eh_frame: R,
    /// File address of its first byte.
    pub eh_frame_address: u64,
    /// `.eh_frame_hdr` with the file address of its first byte.
    pub eh_frame_hdr: Option<(R, u64)>,
    /// File address of `.text`, for text-relative pointers.
    pub text_address: Option<u64>,
    /// File address of the global offset table, for data-relative pointers.
    pub got_address: Option<u64>,
}
