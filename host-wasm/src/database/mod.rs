// SPDX-License-Identifier: MIT
//! `Database`: objects and heads in memory, written behind to IndexedDB.
//!
//! # Guarantees
//!
//! * A commit is one transaction: all objects that wait, then the head, whose version is added and never overwritten. A reload finds
//!   all of it or nothing.
//! * What is read from disk is hashed again. What is damaged or gone is a typed error, and the head falls back to the last version
//!   that is whole.
//! * One tab writes, by a Web Lock; others read and follow, and one of them takes over when it ends.
//! * Nothing is deleted because of an error. Where nothing can be stored, [`Database::status`] says so and why, and memory goes on.
//!
//! # How
//!
//! `objects` is the working set that the core reads and writes; `page`, `head` and `idb` are what is on disk; `shared` moves between
//! the two; `history`, `collect` and `transfer` are what stands on it.

mod collect;
mod head;
mod history;
mod idb;
mod locks;
mod objects;
mod opening;
mod page;
mod reading;
mod settings;
mod shared;
mod status;
mod tabs;
mod transfer;
mod turns;
mod writing;

use std::rc::Rc;

use cascow_core::hash::ContentHash;
use cascow_core::store::ObjectStore;
use js_sys::{Function, Object};
use wasm_bindgen::prelude::{Closure, wasm_bindgen};
use wasm_bindgen::{JsCast, JsValue};

use self::idb::{Connection, OpenTrouble};
use self::writing::Expected;
use crate::error::{Code, Failure};
use crate::js::{self, object};
use crate::proof::hash_kind;

pub(crate) use self::objects::Objects;
pub(crate) use self::shared::Shared;
pub(crate) use self::transfer::{contents, file};

/// A named database.
#[wasm_bindgen]
pub struct Database {
    shared: Rc<Shared>,
}

impl Database {
    pub(crate) fn shared(&self) -> Rc<Shared> {
        Rc::clone(&self.shared)
    }
}

/// Whether a write is to wait for the disk itself.
fn is_strict(options: &JsValue, default: bool) -> Result<bool, Failure> {
    match js::text_option(options, "durability")?.as_deref() {
        None => Ok(default),
        Some("strict") => Ok(true),
        Some("relaxed") => Ok(false),
        Some(_) => Err(Failure::argument("`durability` must be \"relaxed\" or \"strict\"")),
    }
}

fn options(options: Option<Object>) -> JsValue {
    options.map_or(JsValue::UNDEFINED, JsValue::from)
}

fn parse_hash(text: &str) -> Result<ContentHash, Failure> {
    Ok(text.parse()?)
}

#[wasm_bindgen]
impl Database {
    /// Opens a database, or makes it. Where nothing can be stored it is in memory, and `status` says why.
    ///
    /// # Errors
    /// `newer-version`, `blocked`, `argument`.
    #[wasm_bindgen]
    pub async fn open(
        name: String,
        #[wasm_bindgen(js_name = options, unchecked_optional_param_type = "OpenOptions")]
        given: Option<Object>,
    ) -> Result<Self, JsValue> {
        let given = options(given);
        let kind = match js::text_option(&given, "hash")? {
            Some(name) => Some(hash_kind(&name)?),
            None => None,
        };
        let settings = settings::Settings::read(&given)?;
        Ok(Self { shared: Shared::open(name, kind, settings).await? })
    }

    /// Deletes a database with all that is in it.
    ///
    /// # Errors
    /// `blocked` if another tab keeps it open, `storage`.
    pub async fn remove(name: String) -> Result<(), JsValue> {
        match Connection::remove(&opening::stored_name(&name)).await {
            Ok(()) | Err(OpenTrouble::Absent) => Ok(()),
            Err(trouble) => Err(opening::open_failure(&trouble).into()),
        }
    }

    /// Its name.
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.shared.name().to_owned()
    }

    /// Puts an object into the working set; it is written behind.
    ///
    /// # Errors
    /// `argument`, `closed`.
    #[wasm_bindgen(unchecked_return_type = "Hash")]
    pub fn put(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Bytes")] bytes: &JsValue,
    ) -> Result<String, JsValue> {
        self.shared.check_open()?;
        let put = self.shared.objects().put(&js::bytes(bytes)?).map_err(Failure::from)?;
        self.shared.write_behind();
        Ok(put.hash.to_string())
    }

    /// An object's bytes, verified.
    ///
    /// # Errors
    /// `missing`, `damaged`, `storage`.
    #[wasm_bindgen(unchecked_return_type = "Uint8Array")]
    pub async fn get(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Hash")] hash: String,
    ) -> Result<JsValue, JsValue> {
        let hash = parse_hash(&hash)?;
        let shared = self.shared();
        let bytes = shared.read(|objects| Ok(objects.get(&hash)?)).await?;
        Ok(js::array(&bytes).into())
    }

    /// Whether the database has an object. It is not read.
    ///
    /// # Errors
    /// `argument`.
    pub fn has(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Hash")] hash: &str,
    ) -> Result<bool, JsValue> {
        let hash = parse_hash(hash)?;
        Ok(self.shared.objects().exists(&hash).map_err(Failure::from)?)
    }

    /// Resolves when little enough waits to be written: whoever makes much awaits it between batches.
    pub async fn ready(&self) {
        self.shared().ready().await;
    }

    /// Resolves when everything put so far is on disk; in memory, at once.
    ///
    /// # Errors
    /// `quota`, `storage`, `follower`, `closed`.
    pub async fn flush(
        &self,
        #[wasm_bindgen(
            js_name = options,
            unchecked_optional_param_type = "{ durability?: \"relaxed\" | \"strict\" }"
        )]
        given: Option<Object>,
    ) -> Result<(), JsValue> {
        let strict = is_strict(&options(given), false)?;
        Ok(self.shared().write(None, strict).await?)
    }

    /// Moves a head to an object, in one transaction with all objects that wait.
    ///
    /// # Errors
    /// `head-moved`, `missing`, `quota`, `storage`, `follower`, `closed`.
    #[wasm_bindgen(unchecked_return_type = "Head")]
    pub async fn commit(
        &self,
        name: String,
        #[wasm_bindgen(unchecked_param_type = "Hash")] target: String,
        #[wasm_bindgen(
            js_name = options,
            unchecked_optional_param_type = "{ expected?: Hash | null; durability?: \"relaxed\" | \"strict\" }"
        )]
        given: Option<Object>,
    ) -> Result<JsValue, JsValue> {
        let given = options(given);
        let target = parse_hash(&target)?;
        let strict = is_strict(&given, true)?;
        let expected = js::field(&given, "expected");
        let expected = match expected.as_string() {
            Some(hash) => Expected::Target(parse_hash(&hash)?),
            None if expected.is_null() => Expected::Nothing,
            None if expected.is_undefined() => Expected::Anything,
            None => return Err(Failure::argument("`expected` must be a hash or null").into()),
        };
        let shared = self.shared();
        let number = shared.move_head(&name, target, expected, strict).await?;
        Ok(head_object(&name, number, &target).into())
    }

    /// Where a head leads: to what its last whole version does.
    ///
    /// # Errors
    /// `head-missing`, `storage`.
    #[wasm_bindgen(unchecked_return_type = "Head & { fellBack: boolean }")]
    pub async fn head(&self, name: String) -> Result<JsValue, JsValue> {
        let shared = self.shared();
        let found = shared.whole_head(&name).await?;
        let found = found.ok_or_else(|| shared::no_head(&name))?;
        let head = head_object(&name, found.number, &found.target);
        js::set(&head, "fellBack", found.fell_back);
        Ok(head.into())
    }

    /// All heads that are whole.
    ///
    /// # Errors
    /// `storage`.
    #[wasm_bindgen(unchecked_return_type = "Head[]")]
    pub async fn heads(&self) -> Result<JsValue, JsValue> {
        let shared = self.shared();
        let heads = js_sys::Array::new();
        for name in shared.head_names() {
            if let Some(found) = shared.whole_head(&name).await? {
                heads.push(&head_object(&name, found.number, &found.target));
            }
        }
        Ok(heads.into())
    }

    /// Removes a head with all its versions. What it led to stays until `collect`.
    ///
    /// # Errors
    /// `storage`, `follower`, `closed`.
    #[wasm_bindgen(js_name = removeHead)]
    pub async fn remove_head(&self, name: String) -> Result<(), JsValue> {
        Ok(self.shared().remove_head(&name).await?)
    }

    /// Where things are kept, how much, and what went wrong last.
    #[wasm_bindgen(unchecked_return_type = "Status")]
    pub async fn status(&self) -> JsValue {
        self.shared().status().await.into()
    }

    /// Calls `listener` when something changes, on a later turn. Returns the function that ends that.
    #[wasm_bindgen(unchecked_return_type = "() => void")]
    pub fn subscribe(
        &self,
        #[wasm_bindgen(unchecked_param_type = "(event: DatabaseEvent) => void")] listener: Function,
    ) -> JsValue {
        let number = self.shared.listen(listener);
        let shared = Rc::downgrade(&self.shared);
        Closure::<dyn FnMut()>::new(move || {
            if let Some(shared) = shared.upgrade() {
                shared.unlisten(number);
            }
        })
        .into_js_value()
        .unchecked_into()
    }

    /// Writes what waits, then lets go of the lock and the connection.
    ///
    /// # Errors
    /// `quota`, `storage`: something could not be written. It is closed all the same.
    pub async fn close(&self) -> Result<(), JsValue> {
        Ok(self.shared().close().await?)
    }
}

fn head_object(name: &str, number: u64, target: &ContentHash) -> Object {
    object! { "name": name, "target": target.to_string(), "version": js::number(number) }
}

fn closed() -> Failure {
    Failure::new(Code::Closed, "the database was closed")
}
