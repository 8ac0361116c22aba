// SPDX-License-Identifier: MIT
//! `StateManager`: the states of somebody else's search, of which memory holds only some.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Deref;
use std::rc::Rc;

use cascow_core::hash::HashKind;
use cascow_core::manager::{
    Action, Content, Created, Host, Limits, ManagerError, NoReplay, NodeId, StateManager as Core,
    View,
};
use cascow_core::merkle::StateRoot;
use cascow_core::snapshot::Delta;
use cascow_core::store::ObjectStore;
use js_sys::{Object, Uint8Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

use crate::database::{Database, Shared};
use crate::error::{Code, Failure};
use crate::js::{self, object};
use crate::proof::hash_kind;
use crate::snapshot::changes;

/// Lends the database's working set.
struct Lent(Rc<Shared>);

impl Deref for Lent {
    type Target = dyn ObjectStore;

    fn deref(&self) -> &Self::Target {
        self.0.objects()
    }
}

type Manager = Core<Lent, NoReplay, fn() -> u64>;

/// The core's ids have two halves; JavaScript's are one number, given out in turn.
#[derive(Default)]
struct Ids {
    nodes: Vec<Option<NodeId>>,
    numbers: HashMap<NodeId, u32>,
}

impl Ids {
    fn number(&mut self, node: NodeId) -> u32 {
        *self.numbers.entry(node).or_insert_with(|| {
            let number = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
            self.nodes.push(Some(node));
            number
        })
    }

    fn node(&self, number: u32) -> Result<NodeId, Failure> {
        let node = self.nodes.get(number as usize).copied().flatten();
        node.ok_or_else(|| {
            Failure::new(Code::UnknownNode, format_args!("there is no node {number}"))
        })
    }

    /// Forgets those that are gone.
    fn keep(&mut self, mut is_there: impl FnMut(NodeId) -> bool) {
        self.numbers.retain(|node, number| {
            let stays = is_there(*node);
            if !stays && let Some(place) = self.nodes.get_mut(*number as usize) {
                *place = None;
            }
            stays
        });
    }
}

struct Inner {
    manager: Manager,
    ids: Ids,
}

/// States as nodes of a forest; those that are not needed are evicted into the database.
#[wasm_bindgen]
pub struct StateManager(RefCell<Inner>);

/// What a new node is made of.
enum Given {
    Bytes(Vec<u8>),
    Delta(Delta),
}

impl Given {
    fn read(value: &JsValue) -> Result<Self, Failure> {
        if let Some(bytes) = value.dyn_ref::<Uint8Array>() {
            return Ok(Self::Bytes(bytes.to_vec()));
        }
        let mut delta = Delta::new();
        for edit in js::items(value)? {
            let (key, value) = js::pair(&edit)?;
            let key = js::bytes(&key)?;
            if value.is_null() || value.is_undefined() {
                delta.whiteout(key);
            } else {
                delta.write(key, cascow_core::snapshot::Value::from(js::bytes(&value)?));
            }
        }
        Ok(Self::Delta(delta))
    }

    fn content(&self) -> Content<'_> {
        match self {
            Self::Bytes(bytes) => Content::Bytes(bytes),
            Self::Delta(delta) => Content::Delta(delta),
        }
    }
}

fn micros() -> u64 {
    js::whole((js::now() * 1000.0).trunc()).unwrap_or(0)
}

fn created(ids: &mut Ids, created: Result<Created, ManagerError>) -> Result<JsValue, Failure> {
    let Created { node, is_new } = created?;
    Ok(object! { "node": ids.number(node), "isNew": is_new }.into())
}

fn state(view: &View<'_>) -> JsValue {
    match view.bytes() {
        Some(bytes) => js::array(bytes).into(),
        None => js::list(
            view.iter()
                .map(|(key, value)| js_sys::Array::of2(&js::array(key), &js::array(value.bytes))),
        )
        .into(),
    }
}

fn manager(shared: Rc<Shared>, options: &JsValue) -> Result<StateManager, Failure> {
    let limits = Limits {
        resident_bytes: js::whole_option(options, "residentBytes")?.unwrap_or(u64::MAX),
        nodes: js::small_option(options, "nodes")?.unwrap_or(u32::MAX),
    };
    let clock: fn() -> u64 = micros;
    let host = Host::new(shared.kind()).store(Lent(shared)).clock(clock);
    let inner = Inner { manager: Core::new(limits, host), ids: Ids::default() };
    Ok(StateManager(RefCell::new(inner)))
}

#[wasm_bindgen]
impl Database {
    /// A manager without nodes, which evicts states into this database's working set. Only those in memory are restored from there:
    /// keep the manager's states below what the database keeps at hand, or pin what must be read.
    ///
    /// # Errors
    /// `argument`.
    #[wasm_bindgen(js_name = stateManager)]
    pub fn state_manager(
        &self,
        #[wasm_bindgen(unchecked_optional_param_type = "StateManagerOptions")] options: Option<
            Object,
        >,
    ) -> Result<StateManager, JsValue> {
        let options = options.map_or(JsValue::UNDEFINED, JsValue::from);
        Ok(manager(self.shared(), &options)?)
    }
}

#[wasm_bindgen]
impl StateManager {
    /// A manager without nodes, whose evicted states stay in memory, compressed.
    ///
    /// # Errors
    /// `argument`.
    #[wasm_bindgen(constructor)]
    pub fn new(
        #[wasm_bindgen(unchecked_optional_param_type = "StateManagerOptions")] options: Option<
            Object,
        >,
    ) -> Result<Self, JsValue> {
        let options = options.map_or(JsValue::UNDEFINED, JsValue::from);
        let kind = match js::text_option(&options, "hash")? {
            Some(name) => hash_kind(&name)?,
            None => HashKind::Sha256,
        };
        Ok(manager(Shared::in_memory(kind), &options)?)
    }

    /// A node without a parent: bytes, at most 32, or edits of the empty state.
    ///
    /// # Errors
    /// `argument`, `full`.
    #[wasm_bindgen(js_name = createRoot, unchecked_return_type = "CreatedNode")]
    pub fn create_root(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array | Edits")] state: &JsValue,
    ) -> Result<JsValue, JsValue> {
        let given = Given::read(state)?;
        let Inner { manager, ids } = &mut *self.0.borrow_mut();
        Ok(created(ids, manager.create_root(given.content()))?)
    }

    /// The state that an action leads to, unless it is a node already.
    ///
    /// # Errors
    /// `unknown-node`, `argument`, `full`, `missing`, `damaged`.
    #[wasm_bindgen(js_name = createNode, unchecked_return_type = "CreatedNode")]
    pub fn create_node(
        &self,
        parent: u32,
        action: u32,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array | Edits")] state: &JsValue,
    ) -> Result<JsValue, JsValue> {
        let given = Given::read(state)?;
        let Inner { manager, ids } = &mut *self.0.borrow_mut();
        let parent = ids.node(parent)?;
        Ok(created(ids, manager.create_node(parent, Action(action), given.content()))?)
    }

    /// A node's whole state: bytes, or entries ascending by key.
    ///
    /// # Errors
    /// `unknown-node`, `missing`, `damaged`.
    #[wasm_bindgen(
        js_name = backtrackTo,
        unchecked_return_type = "Uint8Array | [Uint8Array, Uint8Array][]"
    )]
    pub fn backtrack_to(&self, node: u32) -> Result<JsValue, JsValue> {
        let Inner { manager, ids } = &mut *self.0.borrow_mut();
        let view = manager.backtrack_to(ids.node(node)?).map_err(Failure::from)?;
        Ok(state(&view))
    }

    /// What a key maps to at a node; of bytes, the empty key to all of them.
    ///
    /// # Errors
    /// `unknown-node`, `argument`, `missing`, `damaged`.
    pub fn read(
        &self,
        node: u32,
        #[wasm_bindgen(unchecked_param_type = "Bytes")] key: &JsValue,
    ) -> Result<Option<Vec<u8>>, JsValue> {
        let key = js::bytes(key)?;
        let Inner { manager, ids } = &mut *self.0.borrow_mut();
        let view = manager.backtrack_to(ids.node(node)?).map_err(Failure::from)?;
        Ok(view.get(&key).map(|value| value.bytes.to_vec()))
    }

    /// How the state of `b` differs from that of `a`.
    ///
    /// # Errors
    /// `unknown-node`, `missing`, `damaged`.
    #[wasm_bindgen(js_name = stateDiff, unchecked_return_type = "Change[]")]
    pub fn state_diff(&self, a: u32, b: u32) -> Result<JsValue, JsValue> {
        let Inner { manager, ids } = &mut *self.0.borrow_mut();
        let diff = manager.state_diff(ids.node(a)?, ids.node(b)?).map_err(Failure::from)?;
        Ok(changes(&diff))
    }

    /// The commitment to a node's state.
    ///
    /// # Errors
    /// `unknown-node`.
    #[wasm_bindgen(unchecked_return_type = "Hash")]
    pub fn root(&self, node: u32) -> Result<String, JsValue> {
        let Inner { manager, ids } = &mut *self.0.borrow_mut();
        Ok(manager.root(ids.node(node)?).map_err(Failure::from)?.to_string())
    }

    /// The node whose state has this root.
    ///
    /// # Errors
    /// `argument`.
    pub fn find(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Hash")] root: &str,
    ) -> Result<Option<u32>, JsValue> {
        let root: StateRoot = root.parse().map_err(Failure::from)?;
        let Inner { manager, ids } = &mut *self.0.borrow_mut();
        Ok(manager.find(&root).map(|node| ids.number(node)))
    }

    /// The node that this one was first reached from, and by which action.
    ///
    /// # Errors
    /// `unknown-node`.
    #[wasm_bindgen(unchecked_return_type = "{ node: number; action: number } | undefined")]
    pub fn parent(&self, node: u32) -> Result<JsValue, JsValue> {
        let Inner { manager, ids } = &mut *self.0.borrow_mut();
        let parent = manager.parent(ids.node(node)?).map_err(Failure::from)?;
        Ok(parent.map_or(JsValue::UNDEFINED, |(node, action)| {
            object! { "node": ids.number(node), "action": action.0 }.into()
        }))
    }

    /// Keeps a node, until it is unpinned as often.
    ///
    /// # Errors
    /// `unknown-node`.
    pub fn pin(&self, node: u32) -> Result<(), JsValue> {
        let Inner { manager, ids } = &mut *self.0.borrow_mut();
        Ok(manager.pin(ids.node(node)?).map_err(Failure::from)?)
    }

    /// Takes back one `pin`.
    ///
    /// # Errors
    /// `unknown-node`, `argument`.
    pub fn unpin(&self, node: u32) -> Result<(), JsValue> {
        let Inner { manager, ids } = &mut *self.0.borrow_mut();
        Ok(manager.unpin(ids.node(node)?).map_err(Failure::from)?)
    }

    /// Removes every node that is not live, not pinned, and not needed by such a one.
    ///
    /// # Errors
    /// `unknown-node`; then nothing is removed.
    #[wasm_bindgen(
        js_name = pruneUnreachable,
        unchecked_return_type = "{ nodes: number; bytes: number }"
    )]
    pub fn prune_unreachable(&self, live: Vec<u32>) -> Result<JsValue, JsValue> {
        let Inner { manager, ids } = &mut *self.0.borrow_mut();
        let live = live.into_iter().map(|number| ids.node(number));
        let live = live.collect::<Result<Vec<_>, _>>()?;
        let pruned = manager.prune_unreachable(live).map_err(Failure::from)?;
        ids.keep(|node| manager.parent(node).is_ok());
        Ok(object! { "nodes": js::number(pruned.nodes), "bytes": js::number(pruned.bytes) }.into())
    }

    /// What the manager holds and has done.
    #[wasm_bindgen(unchecked_return_type = "ManagerStatistics")]
    #[must_use]
    pub fn statistics(&self) -> JsValue {
        let statistics = self.0.borrow().manager.statistics();
        object! {
            "nodes": js::number(statistics.nodes),
            "hits": js::number(statistics.hits),
            "misses": js::number(statistics.misses),
            "loads": js::number(statistics.loads),
            "evictions": js::number(statistics.evictions),
            "transpositions": js::number(statistics.transpositions),
            "residentBytes": js::number(statistics.bytes.resident),
            "inlineBytes": js::number(statistics.bytes.inline),
            "storedBytes": js::number(statistics.bytes.stored),
            "indexBytes": js::number(statistics.bytes.index),
        }
        .into()
    }
}
