// SPDX-License-Identifier: MIT
//! IndexedDB: open, write a batch, read, close. A thin layer on `web-sys`.
//!
//! Nothing awaits inside a transaction: all of its requests are made at once, then its end is awaited. A write counts when the
//! transaction has completed, and what it failed of is the transaction's own error.

use std::cell::Cell;
use std::rc::Rc;

use js_sys::{Array, Function, Object, Promise, Uint8Array};
use wasm_bindgen::prelude::{Closure, wasm_bindgen};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    IdbDatabase, IdbFactory, IdbKeyRange, IdbObjectStore, IdbOpenDbRequest, IdbRequest,
    IdbTransaction,
};

use super::page::{Page, PageNumber};
use crate::js::{self, object};

/// The version of the layout below. A newer one closes the connections of this.
pub(super) const SCHEMA: u32 = 1;
/// How long other tabs have to let go of an older version.
const PATIENCE_MILLIS: i32 = 2000;

/// Stores: pages by number, their directories by the same, heads by name and version, facts about the database by name.
const PAGES: &str = "pages";
const DIRECTORIES: &str = "directories";
const HEADS: &str = "heads";
const META: &str = "meta";

const FORMAT: &str = "format";

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &Function, millis: i32) -> JsValue;

    /// Stable in browsers since years, but not yet in `web-sys`.
    type Transactional;
    #[wasm_bindgen(method, catch)]
    fn transaction(
        this: &Transactional,
        stores: &Array,
        mode: &str,
        options: &Object,
    ) -> Result<IdbTransaction, JsValue>;
}

/// Calls back later.
pub(super) fn later(millis: i32, callback: impl FnOnce() + 'static) {
    let callback = Closure::once_into_js(callback);
    set_timeout(callback.unchecked_ref(), millis);
}

/// What has become of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Open,
    /// The browser closed it.
    Lost,
    /// It made way for a newer version, or for deleting the database.
    Superseded,
}

/// Why a database could not be opened or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OpenTrouble {
    /// There is no IndexedDB here.
    Absent,
    /// A newer build has made it.
    Newer,
    /// Others keep it open.
    Blocked,
    /// Anything else: private windows, settings, damage.
    Refused(String),
}

/// Why a transaction failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    Quota,
    /// Something was there already: another writer.
    Conflict,
    /// The connection is closed.
    Gone,
    Other(String),
}

impl Trouble {
    fn of(error: &JsValue) -> Self {
        match js::field(error, "name").as_string().as_deref() {
            Some("QuotaExceededError") => Self::Quota,
            Some("ConstraintError") => Self::Conflict,
            Some("InvalidStateError") => Self::Gone,
            _ => Self::Other(describe(error)),
        }
    }
}

fn describe(error: &JsValue) -> String {
    let part = |name| js::field(error, name).as_string().unwrap_or_default();
    match (part("name"), part("message")) {
        (name, message) if name.is_empty() && message.is_empty() => {
            "for no reason given".to_owned()
        }
        (name, message) => format!("{name}: {message}"),
    }
}

fn factory() -> Option<IdbFactory> {
    js::field(&js_sys::global(), "indexedDB").dyn_into().ok()
}

/// What is written together or not at all.
#[derive(Debug, Default)]
pub(super) struct Batch<'a> {
    pub(super) pages: &'a [Page],
    pub(super) deleted_pages: &'a [PageNumber],
    /// Name, version, record.
    pub(super) head: Option<(&'a str, u64, Vec<u8>)>,
    /// Versions of that head.
    pub(super) deleted_versions: Vec<u64>,
    /// A head that goes with all its versions.
    pub(super) removed_head: Option<&'a str>,
}

/// A version of a head as it was read.
pub(super) struct HeadRecord {
    pub(super) name: String,
    pub(super) number: u64,
    pub(super) bytes: Vec<u8>,
}

/// All that opening reads.
pub(super) struct Index {
    pub(super) format: Option<Vec<u8>>,
    pub(super) directories: Vec<(PageNumber, Vec<u8>)>,
    pub(super) heads: Vec<HeadRecord>,
}

/// An open database.
pub(super) struct Connection {
    db: IdbDatabase,
    fate: Rc<Cell<Fate>>,
    /// Called by the browser as long as the connection lives.
    _handlers: [Closure<dyn FnMut()>; 2],
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.db.set_onclose(None);
        self.db.set_onversionchange(None);
        self.db.close();
    }
}

impl Connection {
    /// Opens a database, and makes it with `format` if there is none. `ended` is called when the browser or another tab ends it.
    pub(super) async fn open(
        name: &str,
        format: &[u8],
        ended: impl Fn() + 'static,
    ) -> Result<Self, OpenTrouble> {
        let refused = |error: JsValue| OpenTrouble::Refused(describe(&error));
        let request = factory().ok_or(OpenTrouble::Absent)?;
        let request = request.open_with_u32(name, SCHEMA).map_err(refused)?;
        let made = {
            let (request, format) = (request.clone(), js::array(format));
            // What goes wrong here aborts the upgrade, and so the request.
            Closure::once_into_js(move || make(&request, &format).unwrap_or(()))
        };
        request.set_onupgradeneeded(Some(made.unchecked_ref()));
        let db: IdbDatabase = opened(&request).await?.unchecked_into();
        let fate = Rc::new(Cell::new(Fate::Open));
        let ended = Rc::new(ended);
        let lost = {
            let (fate, ended) = (Rc::clone(&fate), Rc::clone(&ended));
            Closure::<dyn FnMut()>::new(move || {
                fate.set(Fate::Lost);
                ended();
            })
        };
        let superseded = {
            let (fate, db) = (Rc::clone(&fate), db.clone());
            Closure::<dyn FnMut()>::new(move || {
                fate.set(Fate::Superseded);
                db.close();
                ended();
            })
        };
        db.set_onclose(Some(lost.as_ref().unchecked_ref()));
        db.set_onversionchange(Some(superseded.as_ref().unchecked_ref()));
        Ok(Self { db, fate, _handlers: [lost, superseded] })
    }

    /// Deletes a database, with all that is in it.
    pub(super) async fn remove(name: &str) -> Result<(), OpenTrouble> {
        let request = factory().ok_or(OpenTrouble::Absent)?;
        let request = request
            .delete_database(name)
            .map_err(|error| OpenTrouble::Refused(describe(&error)))?;
        opened(&request).await.map(|_| ())
    }

    pub(super) fn fate(&self) -> Fate {
        self.fate.get()
    }

    fn begin(&self, stores: &[&str], mode: &str, strict: bool) -> Result<IdbTransaction, Trouble> {
        let options = object! { "durability": if strict { "strict" } else { "relaxed" } };
        let db: &Transactional = self.db.unchecked_ref();
        db.transaction(&js::list(stores.iter().copied()), mode, &options)
            .map_err(|error| Trouble::of(&error))
    }

    /// Writes a batch. When this resolves it is on disk, as far as `strict` asks of the browser; when it fails, nothing of it is.
    pub(super) async fn write(&self, batch: &Batch<'_>, strict: bool) -> Result<(), Trouble> {
        let transaction = self.begin(&[PAGES, DIRECTORIES, HEADS, META], "readwrite", strict)?;
        if let Err(error) = request_all(&transaction, batch, strict) {
            // It may have ended by itself.
            let _ = transaction.abort();
            return Err(Trouble::of(&error));
        }
        completed(&transaction).await
    }

    /// Everything but the pages.
    pub(super) async fn index(&self) -> Result<Index, Trouble> {
        let transaction = self.begin(&[DIRECTORIES, HEADS, META], "readonly", false)?;
        let all = |name| {
            let store = transaction.object_store(name)?;
            Ok::<_, JsValue>((store.get_all_keys()?, store.get_all()?))
        };
        let requests = || {
            let format = transaction.object_store(META)?.get(&FORMAT.into())?;
            Ok((format, all(DIRECTORIES)?, all(HEADS)?))
        };
        let (format, directories, heads) =
            requests().map_err(|error: JsValue| Trouble::of(&error))?;
        completed(&transaction).await?;
        let directories = pairs(&directories)
            .filter_map(|(key, value)| Some((page_number(&key)?, bytes(&value)?)))
            .collect();
        let heads = pairs(&heads).filter_map(|(key, value)| {
            let key: Array = key.dyn_into().ok()?;
            Some(HeadRecord {
                name: key.get(0).as_string()?,
                number: js::whole(key.get(1).as_f64()?)?,
                // One that is no bytes is a damaged one.
                bytes: bytes(&value).unwrap_or_default(),
            })
        });
        let format = format.result().ok().and_then(|value| bytes(&value));
        Ok(Index { format, directories, heads: heads.collect() })
    }

    /// Pages, in the order asked for; `None` for one that is not there.
    pub(super) async fn pages(
        &self,
        numbers: &[PageNumber],
    ) -> Result<Vec<Option<Uint8Array>>, Trouble> {
        let transaction = self.begin(&[PAGES], "readonly", false)?;
        let requests = || {
            let store = transaction.object_store(PAGES)?;
            let get = |number: &PageNumber| store.get(&number.0.into());
            numbers.iter().map(get).collect::<Result<Vec<IdbRequest>, JsValue>>()
        };
        let requests = requests().map_err(|error| Trouble::of(&error))?;
        completed(&transaction).await?;
        let page = |request: &IdbRequest| request.result().ok()?.dyn_into().ok();
        Ok(requests.iter().map(page).collect())
    }
}

fn make(request: &IdbOpenDbRequest, format: &Uint8Array) -> Result<(), JsValue> {
    let db: IdbDatabase = request.result()?.unchecked_into();
    for store in [PAGES, DIRECTORIES, HEADS] {
        db.create_object_store(store)?;
    }
    db.create_object_store(META)?.put_with_key(format, &FORMAT.into())?;
    Ok(())
}

fn request_all(
    transaction: &IdbTransaction,
    batch: &Batch<'_>,
    strict: bool,
) -> Result<(), JsValue> {
    let [pages, directories, heads, meta] =
        [PAGES, DIRECTORIES, HEADS, META].map(|store| transaction.object_store(store));
    let (pages, directories, heads) = (pages?, directories?, heads?);
    for page in batch.pages {
        let key = page.number.0.into();
        // Added and not put: what is there is never written over.
        pages.add_with_key(&js::array(&page.bytes), &key)?;
        directories.add_with_key(&js::array(&page.directory()), &key)?;
    }
    for number in batch.deleted_pages {
        pages.delete(&number.0.into())?;
        directories.delete(&number.0.into())?;
    }
    if let Some((name, number, record)) = &batch.head {
        heads.add_with_key(&js::array(record), &head_key(name, *number))?;
        for number in &batch.deleted_versions {
            heads.delete(&head_key(name, *number))?;
        }
    }
    if let Some(name) = batch.removed_head {
        // An array is greater than every number.
        let end = Array::of2(&name.into(), &Array::new());
        let range = IdbKeyRange::bound(&Array::of1(&name.into()), &end)?;
        heads.delete(&range)?;
    }
    if strict {
        // A transaction that changes nothing may end without touching the disk, and what was written before would not be synced.
        let meta: IdbObjectStore = meta?;
        meta.put_with_key(&js_sys::Date::now().into(), &"synced".into())?;
    }
    Ok(())
}

fn head_key(name: &str, number: u64) -> JsValue {
    Array::of2(&name.into(), &js::number(number).into()).into()
}

fn page_number(key: &JsValue) -> Option<PageNumber> {
    u32::try_from(js::whole(key.as_f64()?)?).ok().map(PageNumber)
}

fn bytes(value: &JsValue) -> Option<Vec<u8>> {
    value.dyn_ref::<Uint8Array>().map(Uint8Array::to_vec)
}

/// Keys and values of a store, which come in the same order.
fn pairs((keys, values): &(IdbRequest, IdbRequest)) -> impl Iterator<Item = (JsValue, JsValue)> {
    let [keys, values] = [keys, values].map(|request| {
        let result: Option<Array> = request.result().ok().and_then(|result| result.dyn_into().ok());
        result.unwrap_or_default()
    });
    (0..keys.length().min(values.length())).map(move |at| (keys.get(at), values.get(at)))
}

async fn completed(transaction: &IdbTransaction) -> Result<(), Trouble> {
    let promise = Promise::new(&mut |resolve, reject| {
        transaction.set_oncomplete(Some(&resolve));
        transaction.set_onabort(Some(&reject));
    });
    match JsFuture::from(promise).await {
        Ok(_) => Ok(()),
        // Without an error, somebody aborted it: a connection that was closed.
        Err(_) => Err(match transaction.error() {
            Some(error) => Trouble::of(&error),
            None => Trouble::Gone,
        }),
    }
}

/// The result of opening or deleting. Who gives up does not keep what is opened later: it would block others in turn.
async fn opened(request: &IdbOpenDbRequest) -> Result<JsValue, OpenTrouble> {
    const GAVE_UP: &str = "gave up";
    let promise = Promise::new(&mut |resolve, reject| {
        request.set_onsuccess(Some(&resolve));
        request.set_onerror(Some(&reject));
        let again = request.clone();
        let blocked = Closure::once_into_js(move || {
            later(PATIENCE_MILLIS, move || {
                if js::field(&again, "readyState").as_string().as_deref() != Some("done") {
                    let close = {
                        let request = again.clone();
                        Closure::once_into_js(move || {
                            if let Ok(Ok(db)) =
                                request.result().map(JsCast::dyn_into::<IdbDatabase>)
                            {
                                db.close();
                            }
                        })
                    };
                    again.set_onsuccess(Some(close.unchecked_ref()));
                    let _ = reject.call1(&JsValue::UNDEFINED, &GAVE_UP.into());
                }
            });
        });
        request.set_onblocked(Some(blocked.unchecked_ref()));
    });
    match JsFuture::from(promise).await {
        Ok(_) => request.result().map_err(|error| OpenTrouble::Refused(describe(&error))),
        Err(error) if error.as_string().as_deref() == Some(GAVE_UP) => Err(OpenTrouble::Blocked),
        Err(_) => {
            let error = request.error().ok().flatten().map(JsValue::from).unwrap_or_default();
            match js::field(&error, "name").as_string().as_deref() {
                Some("VersionError") => Err(OpenTrouble::Newer),
                _ => Err(OpenTrouble::Refused(describe(&error))),
            }
        }
    }
}
