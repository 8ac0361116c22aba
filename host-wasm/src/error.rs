// SPDX-License-Identifier: MIT
//! What JavaScript is thrown: an `Error` with a stable `code`, or what a game of its own threw.

use std::fmt::{self, Display};

use cascow_core::bundle::{BundleError, WalkError};
use cascow_core::frame::FrameError;
use cascow_core::hash::{ContentHash, HexError, UnknownHashName};
use cascow_core::manager::{LoadError, ManagerError, UnknownNode};
use cascow_core::merkle::{ProofError, ProveError};
use cascow_core::reach::Fault;
use cascow_core::record::RecordError;
use cascow_core::search::{CheckpointError, SearchError};
use cascow_core::snapshot::TreeError;
use cascow_core::store::StoreError;
use wasm_bindgen::JsValue;

use crate::js;

/// What kind of failure it is. The names are the package's contract; `types.d.ts` says what each means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Argument,
    IllegalMove,
    Missing,
    Damaged,
    Unsupported,
    OtherGame,
    Proof,
    Bundle,
    UnknownNode,
    Unrelated,
    Full,
    Game,
    Busy,
    Freed,
    Follower,
    HeadMoved,
    HeadMissing,
    Quota,
    NewerVersion,
    Blocked,
    Storage,
    Closed,
}

impl Code {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Argument => "argument",
            Self::IllegalMove => "illegal-move",
            Self::Missing => "missing",
            Self::Damaged => "damaged",
            Self::Unsupported => "unsupported",
            Self::OtherGame => "other-game",
            Self::Proof => "proof",
            Self::Bundle => "bundle",
            Self::UnknownNode => "unknown-node",
            Self::Unrelated => "unrelated",
            Self::Full => "full",
            Self::Game => "game",
            Self::Busy => "busy",
            Self::Freed => "freed",
            Self::Follower => "follower",
            Self::HeadMoved => "head-moved",
            Self::HeadMissing => "head-missing",
            Self::Quota => "quota",
            Self::NewerVersion => "newer-version",
            Self::Blocked => "blocked",
            Self::Storage => "storage",
            Self::Closed => "closed",
        }
    }
}

/// Why a call failed.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// Ours.
    Typed {
        code: Code,
        message: String,
        /// The object that is missing or damaged.
        hash: Option<ContentHash>,
        /// What its bytes hash to instead.
        found: Option<ContentHash>,
    },
    /// Thrown by a game written in JavaScript; passed on as it is.
    Thrown(JsValue),
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Display) -> Self {
        Self::Typed { code, message: message.to_string(), hash: None, found: None }
    }

    pub(crate) fn argument(message: impl Display) -> Self {
        Self::new(Code::Argument, message)
    }

    fn of_object(code: Code, hash: ContentHash, message: impl Display) -> Self {
        Self::Typed { code, message: message.to_string(), hash: Some(hash), found: None }
    }

    pub(crate) fn missing(hash: ContentHash) -> Self {
        Self::of_object(Code::Missing, hash, StoreError::Missing { hash })
    }

    pub(crate) const fn code(&self) -> Option<Code> {
        match self {
            Self::Typed { code, .. } => Some(*code),
            Self::Thrown(_) => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Typed { message, .. } => f.write_str(message),
            Self::Thrown(_) => f.write_str("the game threw"),
        }
    }
}

impl From<Failure> for JsValue {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Typed { code, message, hash, found } => {
                let error = js_sys::Error::new(&message);
                error.set_name("CascowError");
                js::set(&error, "code", code.name());
                for (name, hash) in [("hash", hash), ("found", found)] {
                    if let Some(hash) = hash {
                        js::set(&error, name, hash.to_string());
                    }
                }
                error.into()
            }
            Failure::Thrown(value) => value,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        match error {
            StoreError::Missing { hash } => Self::missing(hash),
            StoreError::Frame { hash, error } => Self::Typed {
                code: match error {
                    FrameError::Version { .. }
                    | FrameError::Flags { .. }
                    | FrameError::Codec { .. } => Code::Unsupported,
                    _ => Code::Damaged,
                },
                message,
                hash: Some(hash),
                found: match error {
                    FrameError::Mismatch { found, .. } => Some(found),
                    _ => None,
                },
            },
            _ => Self::new(Code::Storage, message),
        }
    }
}

impl From<RecordError> for Failure {
    fn from(error: RecordError) -> Self {
        let message = error.to_string();
        match error {
            RecordError::Blob(cascow_core::blob::BlobError::Store(error)) => error.into(),
            RecordError::NotASnapshot { snapshot } => {
                Self::of_object(Code::Damaged, snapshot, message)
            }
            RecordError::Unsupported { snapshot } => {
                Self::of_object(Code::Unsupported, snapshot, message)
            }
            RecordError::TooLong { .. } => Self::argument(message),
            _ => Self::new(Code::Damaged, message),
        }
    }
}

impl From<CheckpointError> for Failure {
    fn from(error: CheckpointError) -> Self {
        let message = error.to_string();
        match error {
            CheckpointError::Store(error) => error.into(),
            CheckpointError::Unsupported { object } => {
                Self::of_object(Code::Unsupported, object, message)
            }
            CheckpointError::OtherGame { object } => {
                Self::of_object(Code::OtherGame, object, message)
            }
            CheckpointError::NotACheckpoint { object }
            | CheckpointError::Inconsistent { object, .. } => {
                Self::of_object(Code::Damaged, object, message)
            }
            _ => Self::new(Code::Damaged, message),
        }
    }
}

impl From<WalkError> for Failure {
    fn from(error: WalkError) -> Self {
        let message = error.to_string();
        match error {
            WalkError::Store(error) => error.into(),
            WalkError::Fault { fault: Fault::Missing { hash }, .. } => {
                Self::of_object(Code::Missing, hash, message)
            }
            WalkError::Fault { fault: Fault::Damaged { hash, .. }, .. } => {
                Self::of_object(Code::Damaged, hash, message)
            }
            _ => Self::new(Code::Damaged, message),
        }
    }
}

impl From<BundleError> for Failure {
    fn from(error: BundleError) -> Self {
        let code = match error {
            BundleError::Version { .. }
            | BundleError::Flags { .. }
            | BundleError::HashKind { .. } => Code::Unsupported,
            _ => Code::Bundle,
        };
        Self::new(code, error)
    }
}

impl From<SearchError<Failure>> for Failure {
    fn from(error: SearchError<Self>) -> Self {
        match error {
            SearchError::Game(failure) => failure,
            SearchError::Full => Self::new(Code::Full, SearchError::<Self>::Full),
            SearchError::InvalidSetting { field } => {
                Self::argument(format_args!("{}", SearchError::<Self>::InvalidSetting { field }))
            }
            error => Self::new(Code::Game, error),
        }
    }
}

impl From<TreeError> for Failure {
    fn from(error: TreeError) -> Self {
        let code = match error {
            TreeError::Unknown { .. } | TreeError::Foreign => Code::UnknownNode,
            TreeError::Unrelated { .. } => Code::Unrelated,
            TreeError::TooLong => Code::Argument,
            _ => Code::Full,
        };
        Self::new(code, error)
    }
}

impl From<UnknownNode> for Failure {
    fn from(error: UnknownNode) -> Self {
        Self::new(Code::UnknownNode, error)
    }
}

impl From<ManagerError> for Failure {
    fn from(error: ManagerError) -> Self {
        let message = error.to_string();
        match error {
            ManagerError::Unknown(_) => Self::new(Code::UnknownNode, message),
            ManagerError::Full { .. } => Self::new(Code::Full, message),
            ManagerError::Tree(error) => error.into(),
            ManagerError::Lost { error: LoadError::Store(error), .. } => error.into(),
            ManagerError::Lost { .. } => Self::new(Code::Damaged, message),
            _ => Self::argument(message),
        }
    }
}

impl From<ProofError> for Failure {
    fn from(error: ProofError) -> Self {
        Self::new(Code::Proof, error)
    }
}

impl From<ProveError> for Failure {
    fn from(error: ProveError) -> Self {
        Self::argument(error)
    }
}

impl From<HexError> for Failure {
    fn from(error: HexError) -> Self {
        Self::argument(error)
    }
}

impl From<UnknownHashName> for Failure {
    fn from(error: UnknownHashName) -> Self {
        Self::argument(error)
    }
}
