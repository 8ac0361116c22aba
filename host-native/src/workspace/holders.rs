// SPDX-License-Identifier: MIT
//! Which processes hold something of a directory, for messages that say whom to end (`proc_pid_fd(5)`).

use std::fs;
use std::path::Path;

/// Some process, other than this one, that has a file below a directory open or stands in it: its number and name. `None` if
/// there is none, or none that we may look at.
pub(super) fn of(dir: &Path) -> Option<String> {
    let own = std::process::id().to_string();
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let number = process.file_name().into_string().ok()?;
        if number == own || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let path = process.path();
        let files = fs::read_dir(path.join("fd")).into_iter().flatten().flatten();
        let mut links = files.map(|file| file.path()).chain([path.join("cwd")]);
        if links.any(|link| fs::read_link(link).is_ok_and(|target| target.starts_with(dir))) {
            let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
            return Some(format!("process {number} ({})", name.trim().escape_debug()));
        }
    }
    None
}
