// SPDX-License-Identifier: MIT
//! What is mounted where, as the kernel lists it (`proc_pid_mountinfo(5)`).
//!
//! Read here and not by a crate, since those that read it take paths for text.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::Error;

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) point: PathBuf,
    pub(super) source: Vec<u8>,
}

/// All mounts of this thread's namespace, later ones above earlier ones.
pub(super) fn read() -> Result<Vec<Mount>, Error> {
    let path = "/proc/thread-self/mountinfo";
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    Ok(bytes.split(|byte| *byte == b'\n').filter_map(parse).collect())
}

/// Fields are apart by spaces: the fifth is the mount point; after a `-` come the kind of filesystem and the source.
fn parse(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let point = unescape(fields.nth(4)?);
    let source = unescape(fields.skip_while(|field| *field != b"-").nth(2)?);
    Some(Mount { point: OsString::from_vec(point).into(), source })
}

/// The kernel writes spaces, tabs, newlines and backslashes as a backslash and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'\\').then(|| after.split_at_checked(3)).flatten().and_then(
            |(digits, after)| {
                let digits = std::str::from_utf8(digits).ok()?;
                Some((u8::from_str_radix(digits, 8).ok()?, after))
            },
        );
        let (byte, after) = escaped.unwrap_or((*first, after));
        bytes.push(byte);
        rest = after;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_of_any_bytes_is_read_as_it_is() {
        let line =
            b"36 35 98:0 /a /mnt\\040a\\134b\\012\xff\\1 rw,ro master:1 - overlay cascow-x ro,index=off";
        let mount = parse(line).unwrap();
        assert_eq!(mount.point.into_os_string().into_vec(), b"/mnt a\\b\n\xff\\1");
        assert_eq!(mount.source, b"cascow-x");
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"36 35 98:0 / /mnt rw -"), None);
    }
}
