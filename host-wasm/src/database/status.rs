// SPDX-License-Identifier: MIT
//! What a database tells of itself: its status, its last failure, and events for those who listen.

use js_sys::{Function, Object, Promise};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};

use super::idb::Fate;
use super::shared::{Place, Reason, Shared};
use crate::error::Failure;
use crate::js::{self, object};

/// Transactions whose times are kept for the status.
const MOST_TIMES: usize = 512;
#[derive(Default)]
pub(super) struct Times {
    all: Vec<f64>,
    next: usize,
}

impl Times {
    pub(super) fn push(&mut self, millis: f64) {
        match self.all.get_mut(self.next) {
            Some(place) => *place = millis,
            None => self.all.push(millis),
        }
        self.next = (self.next + 1) % MOST_TIMES;
    }

    pub(super) fn last(&self) -> f64 {
        let last = (self.next + MOST_TIMES - 1) % MOST_TIMES;
        self.all.get(last).copied().unwrap_or(0.0)
    }

    pub(super) fn percentile(&self, percent: usize) -> f64 {
        // Ranks by counting: few, and seldom asked for.
        let at = self.all.len().saturating_sub(1) * percent / 100;
        let count =
            |is: &dyn Fn(f64) -> bool| self.all.iter().filter(|millis| is(**millis)).count();
        let has_rank = |millis: f64| {
            count(&|other| other < millis) <= at && at < count(&|other| other <= millis)
        };
        self.all.iter().copied().find(|millis| has_rank(*millis)).unwrap_or(0.0)
    }
}

/// Waits for a promise of a method that a browser may not have.
pub(super) async fn ask(of: &JsValue, name: &str) -> Option<JsValue> {
    let promise = js::method(of, name)?.call0(of).ok()?;
    JsFuture::from(promise.dyn_into::<Promise>().ok()?).await.ok()
}

pub(super) fn storage_manager() -> JsValue {
    js::field(&js::field(&js_sys::global(), "navigator"), "storage")
}

impl Shared {
    pub(super) fn listen(&self, listener: Function) -> u32 {
        let number = self.next_listener.get();
        self.next_listener.set(number.wrapping_add(1));
        self.listeners.borrow_mut().push((number, listener));
        number
    }

    pub(super) fn unlisten(&self, number: u32) {
        self.listeners.borrow_mut().retain(|(other, _)| *other != number);
    }

    pub(super) fn emit_status(&self) {
        self.emit(&object! { "type": "status" });
    }

    /// Tells the listeners, on a later turn, when nothing is borrowed.
    pub(super) fn emit(&self, event: &Object) {
        let listeners: Vec<Function> =
            self.listeners.borrow().iter().map(|(_, listener)| listener.clone()).collect();
        if listeners.is_empty() {
            return;
        }
        let event = event.clone();
        spawn_local(async move {
            for listener in listeners {
                if let Err(error) = listener.call1(&JsValue::UNDEFINED, &event) {
                    // As the browser does with listeners of its own events.
                    if let Some(report) = js::method(&js_sys::global(), "reportError") {
                        let _ = report.call1(&JsValue::UNDEFINED, &error);
                    }
                }
            }
        });
    }

    /// Keeps a failure for the status, and gives it back.
    pub(super) fn remember(&self, failure: &Failure) -> Failure {
        if let Failure::Typed { code, message, .. } = failure {
            self.last_error.replace(Some((*code, message.clone())));
            self.emit_status();
        }
        failure.clone()
    }

    pub(super) async fn status(&self) -> Object {
        let manager = storage_manager();
        let estimate = ask(&manager, "estimate").await.unwrap_or_default();
        let persisted = match ask(&manager, "persisted").await {
            Some(persisted) => persisted.as_bool(),
            None => self.is_persisted.get(),
        };
        let reason = match &*self.place.borrow() {
            Place::Memory(reason) => Some(*reason),
            Place::Disk(connection) => match connection.fate() {
                Fate::Superseded => Some(Reason::Superseded),
                // It is opened again when it is needed.
                Fate::Open | Fate::Lost => None,
            },
        };
        let tally = self.objects.tally();
        let times = self.times.borrow();
        let status = object! {
            "persistence": if reason.is_some() { "memory" } else { "indexeddb" },
            "role": self.role.get().name(),
            "hash": self.kind().name(),
            "quotaReached": self.quota_reached.get(),
            "objects": js::number(tally.objects),
            "storedBytes": js::number(tally.stored_bytes),
            "waitingBytes": js::number(tally.waiting_bytes),
            "waitingObjects": js::number(tally.waiting_objects),
            "residentBytes": js::number(tally.resident_bytes),
            "pages": js::number(tally.pages),
            "putBytes": js::number(tally.put_bytes),
            "savedBytes": js::number(tally.saved_bytes),
            "batches": js::number(self.batches.get()),
            "batchMillis": object! {
                "last": times.last(),
                "p50": times.percentile(50),
                "p95": times.percentile(95),
            },
        };
        js::set_some(&status, "reason", reason.map(Reason::name));
        js::set_some(&status, "persisted", persisted);
        js::set_some(&status, "usageBytes", js::field(&estimate, "usage").as_f64());
        js::set_some(&status, "quotaBytes", js::field(&estimate, "quota").as_f64());
        if let Some((code, message)) = &*self.last_error.borrow() {
            let error = object! { "code": code.name(), "message": message.as_str() };
            js::set(&status, "lastError", error);
        }
        status
    }
}
