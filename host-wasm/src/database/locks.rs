// SPDX-License-Identifier: MIT
//! Web Locks: one tab writes a database. The browser lets go of a lock when its tab ends, however it ends.

use js_sys::{Function, Object, Promise};
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::js::{self, object};

/// A lock, held as long as this lives.
pub(super) struct Lock {
    release: Function,
    /// Kept once others may have it.
    released: Option<Promise>,
}

impl Lock {
    /// Lets go, and resolves once others may have it: who opens a database after it was closed is not to find it taken.
    pub(super) async fn release(mut self) {
        let released = self.released.take();
        drop(self);
        if let Some(released) = released {
            // Broken if it was stolen, which lets go of it, too.
            let _ = JsFuture::from(released).await;
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.release.call0(&JsValue::UNDEFINED);
    }
}

/// What came of asking for a lock.
pub(super) enum Asked {
    Held(Lock),
    /// Another tab holds it.
    Taken,
    /// There are no locks here.
    Absent,
}

/// Asks for a lock; without `waits`, only if it is free now.
pub(super) async fn ask(name: &str, waits: bool) -> Asked {
    let locks = js::field(&js::field(&js_sys::global(), "navigator"), "locks");
    let Some(request) = js::method(&locks, "request") else { return Asked::Absent };
    let mut released = None;
    let promise = Promise::new(&mut |answer, reject| {
        let granted = Closure::once_into_js(move |lock: JsValue| -> JsValue {
            if lock.is_null() || lock.is_undefined() {
                let _ = answer.call1(&JsValue::UNDEFINED, &JsValue::NULL);
                return JsValue::UNDEFINED;
            }
            // The lock is held until this promise is kept.
            Promise::new(&mut |release, _| {
                let _ = answer.call1(&JsValue::UNDEFINED, &release);
            })
            .into()
        });
        let options: Object = object! { "ifAvailable": !waits };
        match request.call3(&locks, &name.into(), &options, &granted) {
            // Kept when the lock was let go of; broken if it is not to be had here (sandboxed frames).
            Ok(promise) => {
                let promise: Promise = promise.unchecked_into();
                let refused = Closure::once_into_js(move |error: JsValue| {
                    let _ = reject.call1(&JsValue::UNDEFINED, &error);
                });
                if let Some(catch) = js::method(&promise, "catch") {
                    let _ = catch.call1(&promise, &refused);
                }
                released = Some(promise);
            }
            Err(error) => {
                let _ = reject.call1(&JsValue::UNDEFINED, &error);
            }
        }
    });
    match JsFuture::from(promise).await {
        Ok(release) => match release.dyn_into() {
            Ok(release) => Asked::Held(Lock { release, released }),
            Err(_) => Asked::Taken,
        },
        Err(_) => Asked::Absent,
    }
}
