//! Where the call frame information of one ELF object is.

/// The `.eh_frame` of one ELF object and what is needed to read it. All addresses are file
/// addresses.
#[derive(Clone, Debug)]
pub struct EhSections<R> {
    /// Contents of `.eh_frame`. Found through `.eh_frame_hdr` alone it may reach beyond the end
    /// of the section; a terminating entry of length zero ends it.
    pub eh_frame: R,
    /// Address of the first byte of `eh_frame`.
    pub eh_frame_address: u64,
    /// Contents and address of `.eh_frame_hdr`.
    pub eh_frame_hdr: Option<(R, u64)>,
    /// Address of `.text`, the base of text-relative pointers.
    pub text_address: Option<u64>,
    /// Address of `.got`, the base of data-relative pointers.
    pub got_address: Option<u64>,
}
