// SPDX-License-Identifier: MIT
//! How states become directories.

use std::str::FromStr;

/// How a state becomes a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Materializer {
    /// As an overlayfs mount over layers that are there already.
    Overlay,
    /// As a plain directory: every file written out.
    Copy,
}

impl Materializer {
    /// Its name in options and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overlay => "overlay",
            Self::Copy => "copy",
        }
    }
}

/// Which materialiser a caller wishes for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Materialize {
    /// An overlay where one can be mounted, else a copy.
    #[default]
    Auto,
    /// An overlayfs mount.
    Overlay,
    /// A plain directory.
    Copy,
}

impl Materialize {
    /// Its name in options and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Overlay => "overlay",
            Self::Copy => "copy",
        }
    }
}

impl FromStr for Materialize {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "auto" => Ok(Self::Auto),
            "overlay" => Ok(Self::Overlay),
            "copy" => Ok(Self::Copy),
            _ => Err("use auto, overlay or copy".to_owned()),
        }
    }
}
