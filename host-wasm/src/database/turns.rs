// SPDX-License-Identifier: MIT
//! Turns: asynchronous calls that must not overlap go one after the other, in the order in which they came.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use js_sys::{Function, Promise};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;

#[derive(Debug, Default)]
pub(super) struct Turns {
    is_taken: Cell<bool>,
    waiting: RefCell<VecDeque<Function>>,
}

/// A turn, which ends when it is dropped.
pub(super) struct Turn(Rc<Turns>);

impl Turns {
    pub(super) async fn take(self: &Rc<Self>) -> Turn {
        if self.is_taken.get() {
            let promise = Promise::new(&mut |resolve, _| {
                self.waiting.borrow_mut().push_back(resolve);
            });
            // Never broken; who is called has the turn already.
            let _ = JsFuture::from(promise).await;
        }
        self.is_taken.set(true);
        Turn(Rc::clone(self))
    }

    pub(super) fn is_taken(&self) -> bool {
        self.is_taken.get()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = self.0.waiting.borrow_mut().pop_front();
        match next {
            // It stays taken, so that nobody comes in between.
            Some(next) => {
                let _ = next.call0(&JsValue::UNDEFINED);
            }
            None => self.0.is_taken.set(false),
        }
    }
}
