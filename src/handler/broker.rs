//! Opens files for the worker: those that the process has mapped, debug files by build ID, and files of a base
//! name in a folder of the list. Paths are resolved below the root of the process or of this machine, links
//! stay below it, and only regular files are opened, with the rights of the crashed user. Of one kind the worker
//! names the path: files of split DWARF, which are where a compiler was run, have an ending of their own.
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind::NotADirectory, ErrorKind::NotFound};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::folders::Folders;
use crate::collect::crash::{FileId, PinnedFile};
use crate::snapshot::hex;
use crate::sys::mapping::reopen_regular;
use crate::sys::root::Root;
use crate::sys::{descriptors, privileges};

/// Bytes of a request or answer.
pub(super) const MAX_MESSAGE: usize = 1024;
/// Bytes of a reason.
const MAX_REASON: usize = 200;
/// Bytes of a build ID; linkers write 20.
const MAX_ID: usize = 64;
/// Bytes of a base name (`NAME_MAX`).
const MAX_NAME: usize = 255;
/// Bytes of a path.
const MAX_PATH: usize = MAX_MESSAGE - 1;
/// How files of split DWARF end.
const SPLIT: &[u8] = b".dwo";

/// What can be asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request<'a> {
    /// A file that is mapped.
    Module(FileId),
    /// A debug file, in one of the folders for them.
    BuildId(usize, &'a [u8]),
    /// A base name in one of the folders of the list.
    Named(usize, &'a [u8]),
    /// The path of a file of split DWARF.
    Split(&'a [u8]),
    /// The file in which the process names the code that it makes, for perf(1), by the first of its ids or another.
    PerfMap(usize),
}

/// What is answered for one place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The file comes with it.
    File { inside: bool },
    /// It is there, and is not given.
    Refused { inside: bool, why: String },
}

impl<'a> Request<'a> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let place = |place: &usize| u16::try_from(*place).unwrap_or(u16::MAX).to_le_bytes();
        match self {
            Request::Module(((major, minor), inode)) => {
                [&b"M"[..], &major.to_le_bytes(), &minor.to_le_bytes(), &inode.to_le_bytes()].concat()
            }
            Request::BuildId(at, id) => [&b"B"[..], &place(at), id].concat(),
            Request::Named(at, name) => [&b"N"[..], &place(at), name].concat(),
            Request::Split(path) => [&b"D"[..], path].concat(),
            Request::PerfMap(at) => [&b"P"[..], &place(at)].concat(),
        }
    }

    /// `None` for what nobody may ask.
    pub(super) fn decode(bytes: &'a [u8]) -> Option<Request<'a>> {
        let (&kind, rest) = bytes.split_first()?;
        if kind == b'M' {
            let &[a, b, c, d, e, f, g, h, ref inode @ ..] = rest else { return None };
            let device = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
            return Some(Request::Module((device, u64::from_le_bytes(inode.try_into().ok()?))));
        }
        if kind == b'D' {
            return Request::split(rest);
        }
        let (place, text) = rest.split_first_chunk()?;
        let place = usize::from(u16::from_le_bytes(*place));
        match kind {
            b'B' if (2..=MAX_ID).contains(&text.len()) => Some(Request::BuildId(place, text)),
            b'N' if is_base_name(text) => Some(Request::Named(place, text)),
            b'P' if text.is_empty() => Some(Request::PerfMap(place)),
            _ => None,
        }
    }

    /// `None` for what is no absolute path of such a file.
    pub(super) fn split(path: &'a [u8]) -> Option<Request<'a>> {
        let name = path.strip_prefix(b"/")?.rsplit(|&byte| byte == b'/').next()?;
        let climbs = path.split(|&byte| byte == b'/').any(|part| part == b"..");
        let fits = path.len() <= MAX_PATH && is_base_name(name) && name.ends_with(SPLIT);
        (fits && !climbs && !path.contains(&0)).then_some(Request::Split(path))
    }
}

fn is_base_name(name: &[u8]) -> bool {
    let is_link = name == b"." || name == b"..";
    (1..=MAX_NAME).contains(&name.len()) && !is_link && !name.contains(&b'/') && !name.contains(&0)
}

impl Answer {
    pub(super) fn encode(&self, into: &mut Vec<u8>) {
        match self {
            Answer::File { inside } => into.extend([b'F', u8::from(*inside)]),
            Answer::Refused { inside, why } => {
                let why = &why.as_bytes()[..why.len().min(MAX_REASON)];
                into.extend([b'R', u8::from(*inside), why.len() as u8]);
                into.extend(why);
            }
        }
    }

    pub(super) fn decode_all(mut bytes: &[u8]) -> Vec<Answer> {
        let mut all = Vec::new();
        loop {
            match bytes {
                [b'F', inside, rest @ ..] => {
                    all.push(Answer::File { inside: *inside != 0 });
                    bytes = rest;
                }
                [b'R', inside, length, rest @ ..] => {
                    let (why, rest) = rest.split_at(usize::from(*length).min(rest.len()));
                    all.push(Answer::Refused {
                        inside: *inside != 0,
                        why: String::from_utf8_lossy(why).into_owned(),
                    });
                    bytes = rest;
                }
                _ => return all,
            }
        }
    }
}

/// What the broker opens.
#[derive(Debug)]
pub(super) struct Broker<'a> {
    pub(super) files: &'a [PinnedFile],
    pub(super) folders: &'a Folders,
    /// Of the process.
    pub(super) root: Option<&'a Root>,
    /// Whose rights count.
    pub(super) user: (u32, u32),
    /// Whether these are those of the crashed user: what has more may not be led to files by paths.
    pub(super) is_users: bool,
    /// Ids by which the process may name its perf map.
    pub(super) ids: &'a [i32],
}

impl Broker<'_> {
    /// Answers until the other side is gone.
    ///
    /// # Errors
    /// If it cannot take the rights of the user, or the connection failed.
    pub(super) fn serve(&self, socket: &OwnedFd) -> io::Result<()> {
        let host = Root::open(Path::new("/"))?;
        let _user = privileges::only_open_as(self.user.0, self.user.1)?;
        let mut buffer = [0; MAX_MESSAGE];
        loop {
            let (length, _) = descriptors::receive(socket.as_fd(), &mut buffer)?;
            // Nobody sends an empty message.
            if length == 0 {
                return Ok(());
            }
            let Some(request) = Request::decode(&buffer[..length]) else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            let (mut text, mut files) = (Vec::new(), Vec::new());
            for (result, inside) in self.open(&request, &host) {
                let answer = match result {
                    Ok(file) => {
                        files.push(file);
                        Answer::File { inside }
                    }
                    // What is not there is no reason for a word.
                    Err(error) if matches!(error.kind(), NotFound | NotADirectory) => continue,
                    Err(error) => Answer::Refused { inside, why: error.to_string() },
                };
                answer.encode(&mut text);
            }
            // A message of no bytes would be the end.
            text.push(0);
            let passed: Vec<_> = files.iter().map(File::as_raw_fd).collect();
            descriptors::send(socket.as_fd(), &text, &passed)?;
        }
    }

    fn open(&self, request: &Request<'_>, host: &Root) -> Vec<(io::Result<File>, bool)> {
        let path = match request {
            Request::Module(id) => {
                let at = self.files.binary_search_by_key(id, |file| file.id);
                let place = at.ok().and_then(|at| self.files.get(at));
                let missing = || Err(io::Error::other("it was not kept"));
                return vec![(place.map_or_else(missing, |file| reopen_regular(&file.place)), true)];
            }
            Request::BuildId(place, id) => self.folders.debug.get(*place).map(|dir| by_id(dir, id)),
            Request::Named(place, name) => {
                self.folders.all.get(*place).map(|folder| folder.join(OsStr::from_bytes(name)))
            }
            Request::Split(path) if self.is_users => {
                let path = Path::new(OsStr::from_bytes(path));
                let inside = self.root.map(|root| (root.regular_itself_below(path), true));
                return inside.into_iter().chain([(host.regular_itself_below(path), false)]).collect();
            }
            Request::Split(_) => None,
            // It lies where everybody can write, and means nothing in another root.
            Request::PerfMap(place) => {
                let path = self.ids.get(*place).map(|id| format!("/tmp/perf-{id}.map"));
                let file =
                    path.zip(self.root).map(|(path, root)| root.regular_itself_below(Path::new(&path)));
                return file.into_iter().map(|file| (file, true)).collect();
            }
        };
        let Some(path) = path else { return Vec::new() };
        let inside = self.root.map(|root| (root.regular_below(&path), true));
        inside.into_iter().chain([(host.regular_below(&path), false)]).collect()
    }
}

fn by_id(dir: &Path, id: &[u8]) -> PathBuf {
    let digits = hex(id);
    let (first, rest) = digits.split_at(2);
    dir.join(format!(".build-id/{first}/{rest}.debug"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_come_over() {
        let requests =
            [Request::Module(((8, 1), 77)), Request::BuildId(0, &[1; 20]), Request::Named(3, b"x.debug")];
        let others = [Request::Split(b"/src/x/main.dwo"), Request::PerfMap(1)];
        for request in requests.into_iter().chain(others) {
            assert_eq!(Request::decode(&request.encode()), Some(request));
        }
    }

    #[test]
    fn paths_cannot_be_asked_for() {
        let long = [b'x'; MAX_NAME + 1];
        for name in [&b"a/b"[..], b"/etc/shadow", b"..", b".", b"", b"a\0b", &long] {
            assert_eq!(Request::decode(&Request::Named(0, name).encode()), None);
        }
        for id in [&[1_u8][..], &[], &[1; MAX_ID + 1]] {
            assert_eq!(Request::decode(&Request::BuildId(0, id).encode()), None);
        }
        let endless = [&b"/"[..], &[b'x'; MAX_MESSAGE], b".dwo"].concat();
        for path in
            [&b"x.dwo"[..], b"/x.dwo.so", b"/etc/shadow", b"/a/../x.dwo", b"/a.dwo/", b"/a\0.dwo", &endless]
        {
            assert_eq!(Request::decode(&Request::Split(path).encode()), None);
        }
        for junk in [b"P\0\0x", &b""[..], b"M", b"M12345678", b"X\0\0abc", b"N\0"] {
            assert_eq!(Request::decode(junk), None);
        }
    }

    #[test]
    fn answers_come_over() {
        let answers = [
            Answer::File { inside: true },
            Answer::Refused { inside: false, why: "a pipe".to_owned() },
            Answer::File { inside: false },
        ];
        let mut bytes = Vec::new();
        answers.iter().for_each(|answer| answer.encode(&mut bytes));
        bytes.push(0);
        assert_eq!(Answer::decode_all(&bytes), answers);
        assert_eq!(Answer::decode_all(b"R\x01\xffab").len(), 1, "cut off");
        assert_eq!(Answer::decode_all(b""), []);
    }
}
