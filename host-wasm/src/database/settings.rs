// SPDX-License-Identifier: MIT
//! What a database is told when it is opened.

use wasm_bindgen::JsValue;

use crate::error::Failure;
use crate::js;

/// What a database is told when it is opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) memory: bool,
    pub(super) persist: bool,
    pub(super) batch_bytes: u64,
    pub(super) batch_millis: i32,
    pub(super) max_waiting_bytes: u64,
}

impl Settings {
    pub(super) fn read(options: &JsValue) -> Result<Self, Failure> {
        let flag = |name, default| match js::optional(options, name) {
            None => Ok(default),
            Some(value) => value
                .as_bool()
                .ok_or_else(|| Failure::argument(format_args!("`{name}` must be true or false"))),
        };
        let millis = js::small_option(options, "batchMillis")?.unwrap_or(1000);
        Ok(Self {
            memory: flag("memory", false)?,
            persist: flag("persist", true)?,
            batch_bytes: js::whole_option(options, "batchBytes")?.unwrap_or(1 << 20),
            batch_millis: i32::try_from(millis).unwrap_or(i32::MAX),
            max_waiting_bytes: js::whole_option(options, "maxWaitingBytes")?.unwrap_or(32 << 20),
        })
    }
}
