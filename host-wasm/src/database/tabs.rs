// SPDX-License-Identifier: MIT
//! Other tabs: telling them of heads, learning of theirs, and taking over when the one that writes ends.

use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;
use wasm_bindgen_futures::spawn_local;
use web_sys::{BroadcastChannel, MessageEvent};

use super::locks::{self, Asked};
use super::opening::stored_name;
use super::shared::{Role, Shared};
use crate::js::{self, object};

impl Shared {
    pub(super) fn listen_to_others(&self) {
        let Ok(channel) = BroadcastChannel::new(&stored_name(&self.name)) else { return };
        let this = self.this.clone();
        let heard = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            let Some(this) = this.upgrade() else { return };
            let data = event.data();
            let name = js::field(&data, "name").as_string();
            let version = js::field(&data, "version").as_f64();
            if let (Some(name), Some(version)) = (name, version) {
                spawn_local(async move {
                    // What could not be learnt now is learnt at the next message, or when it is needed.
                    if this.refresh().await.is_ok() {
                        this.emit(&object! { "type": "head", "name": name, "version": version });
                    }
                });
            }
        });
        channel.set_onmessage(Some(heard.as_ref().unchecked_ref()));
        self.channel.replace(Some((channel, heard)));
    }

    /// Tells this tab and the others that a head has moved.
    pub(super) fn announce(&self, name: &str, version: u64) {
        let message = object! { "name": name, "version": js::number(version) };
        if let Some((channel, _)) = &*self.channel.borrow() {
            let _ = channel.post_message(&message);
        }
        self.emit(&object! { "type": "head", "name": name, "version": js::number(version) });
    }

    /// Takes over when the tab that writes ends.
    pub(super) fn wait_for_the_lock(&self) {
        let (this, name) = (self.this.clone(), stored_name(&self.name));
        spawn_local(async move {
            let Asked::Held(lock) = locks::ask(&name, true).await else { return };
            let Some(shared) = this.upgrade() else { return };
            if !shared.is_on_disk() || shared.is_closed.get() {
                return;
            }
            shared.lock.replace(Some(lock));
            // What the one before wrote last must be known before anything is written after it.
            if let Err(failure) = shared.refresh().await {
                shared.remember(&failure);
            }
            shared.role.set(Role::Leader);
            shared.emit_status();
            shared.write_behind();
        });
    }
}
